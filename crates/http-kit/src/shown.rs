//! A client's own text, where an answer or a line of the log repeats it: never more of it than is needed to find the place.

use clean_text::breaks_or_turns_line;

/// The beginning of a text, and that it goes on where it does.
pub(super) fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The same on one line, in the direction of the text around it.
pub(super) fn on_one_line(text: &str, max_chars: usize) -> String {
    let clean = |c| if breaks_or_turns_line(c) { char::REPLACEMENT_CHARACTER } else { c };
    cut(text, max_chars).chars().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(cut("éé", 2), "éé");
        assert_eq!(cut("ééé", 2), "éé…");
        assert_eq!(cut("", 0), "");
        assert_eq!(on_one_line("a\n\u{202e}bc", 4), "a\u{fffd}\u{fffd}b…");
    }
}
