#![doc = include_str!("../README.md")]

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Whether a character breaks the line it stands in, or turns its direction: control characters, the separators of lines
/// and paragraphs, bidirectional embeddings, overrides and isolates. No text holds them: on a ticket or in a terminal
/// they would make of one entry two, or show another text than is there.
pub fn breaks_or_turns_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a reader cannot tell what a character is, or that it is there, so that two texts look the same and are not, or a
/// name looks like none: formats such as soft hyphens, zero-width spaces and tags, private characters, noncharacters,
/// [`HIDDEN_SIGNS`]. Left out are joiners, told by what is around them ([`is_clean_line`]), marks of direction, the signs
/// that are drawn around numbers in Arabic and Syriac, and what a later Unicode may assign to something that is seen.
pub fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    match c.general_category() {
        GeneralCategory::Unassigned => is_never_seen(c),
        GeneralCategory::PrivateUse => true,
        GeneralCategory::Format => {
            let is_drawn = matches!(
                c,
                '\u{600}'..='\u{605}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}'
            );
            !(is_drawn || is_mark_of_direction(c) || is_joiner(c) || breaks_or_turns_line(c))
        }
        _ => HIDDEN_SIGNS.contains(&c),
    }
}

/// Of what is not assigned: noncharacters, and what is kept for more that is ignored where it is not known.
fn is_never_seen(c: char) -> bool {
    matches!(c, '\u{2065}' | '\u{fdd0}'..='\u{fdef}' | '\u{fff0}'..='\u{fff8}' | '\u{e0000}'..='\u{e0fff}')
        || matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff)
}

/// What counts as a letter, a mark or a symbol and shows as nothing: the grapheme joiner, the fillers of Hangul, two vowels of
/// Khmer that are never written, the empty sign of Braille.
pub const HIDDEN_SIGNS: [char; 8] =
    ['\u{34f}', '\u{115f}', '\u{1160}', '\u{17b4}', '\u{17b5}', '\u{2800}', '\u{3164}', '\u{ffa0}'];

/// As in Arabic, and those from left to right and from right to left.
fn is_mark_of_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}')
}

/// Whether a text is one that every text here may be: one line in its own direction, with nothing hidden in it.
pub fn is_clean_line(text: &str) -> bool {
    line_fault(text, &[]).is_none()
}

/// What is wrong with a text that is to be a clean line, as a sentence's end: the first character that it may not hold.
/// `allowed` are controls that this text may hold, such as line breaks.
pub fn line_fault(text: &str, allowed: &[char]) -> Option<String> {
    let is_bad = |c: &char| (breaks_or_turns_line(*c) && !allowed.contains(c)) || is_hidden(*c);
    match text.chars().find(is_bad) {
        Some(c) if c.is_control() => Some(format!("may not hold the control character {}", describe(c))),
        Some(c) if is_hidden(c) => Some(invisible(c)),
        Some(c) => Some(format!("may not hold the line or direction control {}", describe(c))),
        // Joiners are not ASCII, as most texts are.
        None if text.is_ascii() => None,
        None => loose_joiner(text).map(not_between_letters),
    }
}

/// The kind of character beside a joiner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// A letter, perhaps with its marks.
    Letter,
    /// A picture, perhaps with its colour and variation: a joiner makes one of two, as a cook of a man and a pan.
    Picture,
    /// Anything else.
    Other,
}

/// The first joiner that stands between neither two letters nor two pictures.
fn loose_joiner(text: &str) -> Option<char> {
    let mut side = Side::Other;
    // A joiner that waits for what comes behind it.
    let mut open = None;
    for c in text.chars() {
        if is_joiner(c) {
            let joins = side == Side::Letter || (side == Side::Picture && c == ZERO_WIDTH_JOINER);
            if open.is_some() || !joins {
                return Some(c);
            }
            open = Some(c);
            continue;
        }
        // Behind a joiner too, as in Bengali, but not between pictures.
        if is_mark(c) && (open.is_none() || side == Side::Letter) {
            continue;
        }
        let before = std::mem::replace(&mut side, side_of(c));
        if open.is_some() && side != before {
            return open;
        }
        open = None;
    }
    open
}

fn side_of(c: char) -> Side {
    match c {
        _ if is_letter(c) => Side::Letter,
        // Arrows, of a head that is shaken or nodded; signs; pictures, and the colours of skin among them.
        '\u{2190}'..='\u{21ff}'
        | '\u{2600}'..='\u{27bf}'
        | '\u{2b00}'..='\u{2bff}'
        | '\u{1f300}'..='\u{1faff}' => Side::Picture,
        _ => Side::Other,
    }
}

/// The sentence's end for a character that is hidden.
pub fn invisible(c: char) -> String {
    format!("may not hold the invisible character {}", describe(c))
}

/// The sentence's end for a character that joins nothing.
pub fn not_between_letters(c: char) -> String {
    format!("may hold {} between two letters only", describe(c))
}

/// Whether a character is a letter of some script, those that show as nothing included.
pub fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || (!c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Letter)
}

/// Whether a character is a mark that combines with the one before it.
pub fn is_mark(c: char) -> bool {
    !c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Mark
}

const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Zero-width joiner and non-joiner: invisible, and yet part of how Sinhala, Persian and others spell.
pub fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | ZERO_WIDTH_JOINER)
}

/// Whether a character by itself leaves nothing on the paper: anything but letters, numbers, punctuation and symbols.
pub fn is_invisible(c: char) -> bool {
    if c.is_ascii_graphic() {
        return false;
    }
    use GeneralCategoryGroup::{Letter, Number, Other, Punctuation, Symbol};
    let group = c.general_category_group();
    let may_be_seen = matches!(group, Letter | Number | Punctuation | Symbol)
        || (group == Other && c.general_category() == GeneralCategory::Unassigned);
    is_hidden(c) || !may_be_seen
}

/// A character as it can be shown in an error and a log line: itself where it is visible, its code point always.
pub fn describe(c: char) -> String {
    let code = u32::from(c);
    if !is_hidden(c) && (c.is_alphanumeric() || c.is_ascii_punctuation()) {
        format!("{c:?} (U+{code:04X})")
    } else {
        format!("U+{code:04X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_line_has_one_direction_and_nothing_hidden() {
        let controls =
            "\u{ad}\u{180e}\u{200b}\u{2060}\u{2062}\u{2064}\u{206a}\u{feff}\u{fff9}\u{1d173}\u{e0041}";
        let others =
            "\u{fff0}\u{e0080}\u{e01f0}\u{e0fff}\u{fdd0}\u{fffe}\u{ffff}\u{1ffff}\u{10fffe}\u{e000}\u{f0000}";
        let breaks = "\n\t\0\u{7f}\u{85}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}";
        for c in [controls, others, breaks].concat().chars().chain(HIDDEN_SIGNS) {
            assert!(!is_clean_line(&format!("So{c}up")), "{c:?}");
            assert!(is_invisible(c), "{c:?}");
        }
        assert_eq!(line_fault("1 Main Street\nSpringfield", &['\n']), None);
    }

    #[test]
    fn joiners_stand_between_letters_or_pictures() {
        for text in [
            "পর\u{200d}্যা",
            "ශ්\u{200d}රී",
            "کتلت\u{200c}ها",
            "👨\u{200d}🍳",
            "🧑🏽\u{200d}🍳",
            "🏳\u{fe0f}\u{200d}🌈",
            "☀\u{fe0f}",
            "50\u{200f}",
        ] {
            assert!(is_clean_line(text), "{text:?}");
        }
        for text in [
            "Soup\u{200d}",
            "\u{200c}Soup",
            "Soup \u{200d}of the day",
            "So\u{200c}\u{200d}up",
            "1\u{200d}2",
            "Soup\u{200d} 🍕",
            "🍕\u{200d}Soup",
            "🍕\u{200c}🍕",
            "🍕\u{200d}\u{fe0f}🍕",
        ] {
            assert!(!is_clean_line(text), "{text:?}");
        }
    }

    #[test]
    fn a_fault_names_what_cannot_be_seen_by_its_code_point() {
        assert_eq!(
            line_fault("a\u{3164}b", &[]).as_deref(),
            Some("may not hold the invisible character U+3164")
        );
        assert_eq!(
            line_fault("a\u{2066}b", &[]).as_deref(),
            Some("may not hold the line or direction control U+2066")
        );
        assert_eq!(line_fault("a\nb", &[]).as_deref(), Some("may not hold the control character U+000A"));
    }
}
