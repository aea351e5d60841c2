//! Texts as a terminal may be given them: nothing in them moves its cursor, turns a line, or hides.

use jiff::{SignedDuration, Timestamp};

/// Stands for a character that is not shown.
const REPLACEMENT: char = '\u{fffd}';

/// The text on one line. What breaks or turns a line, or is hidden, shows as `�`. Joiners, marks of direction and selectors of a
/// variation are left out: terminals do not agree how wide they make their neighbours.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '\u{61c}' | '\u{200c}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}'))
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if clean_text::breaks_or_turns_line(c) || clean_text::is_hidden(c) => REPLACEMENT,
            c => c,
        })
        .collect()
}

/// How long ago that was, in at most four characters: `0m`, `59m`, `1h05`, `12h`, `3d`.
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    let minutes = passed(since, now).as_mins();
    match minutes {
        ..60 => format!("{minutes}m"),
        60..600 => format!("{}h{:02}", minutes / 60, minutes % 60),
        600..1440 => format!("{}h", minutes / 60),
        _ => format!("{}d", (minutes / 1440).min(999)),
    }
}

/// The time since then. A service whose clock is ahead tells of nothing that is still to come.
pub(super) fn passed(since: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(since).max(SignedDuration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_moves_the_cursor_turns_the_line_or_hides() {
        for (text, shown) in [
            ("Ada", "Ada"),
            ("\u{1b}[2Jgone", "\u{fffd}[2Jgone"),
            ("a\nb\tc\rd", "a b c\u{fffd}d"),
            ("\u{202e}ada\u{2066}", "\u{fffd}ada\u{fffd}"),
            ("a\u{200b}b\u{ad}c", "a\u{fffd}b\u{fffd}c"),
            ("\u{9b}31m", "\u{fffd}31m"),
            ("👩\u{200d}🍳 ❤\u{fe0f}", "👩🍳 ❤"),
            ("辣子鸡 مرحبا", "辣子鸡 مرحبا"),
        ] {
            assert_eq!(clean(text), shown, "{text:?}");
        }
    }

    #[test]
    fn ages_are_short() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (seconds, shown) in [
            (-30, "0m"),
            (59, "0m"),
            (3_599, "59m"),
            (3_900, "1h05"),
            (35_999, "9h59"),
            (43_200, "12h"),
            (86_400, "1d"),
        ] {
            assert_eq!(age(now - SignedDuration::from_secs(seconds), now), shown);
        }
    }
}
