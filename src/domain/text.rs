//! What the texts of an order may hold. Lengths are counted in Unicode characters, as PostgreSQL does.

use std::ops::RangeInclusive;

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::bounds;

/// Whether a character breaks the line it stands in, or turns its direction: control characters, the separators of lines
/// and paragraphs, bidirectional embeddings, overrides and isolates. No text holds them: on a ticket or in a terminal
/// they would make of one entry two, or show another text than is there.
pub fn breaks_or_turns_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character shows as nothing and has no part in how a word is drawn, so that two texts look the same and are
/// not, or a name looks like none: what Unicode calls default ignorable, letters and marks among it, and noncharacters.
/// Left out are joiners, told by what is around them ([`is_clean_line`]), and marks of direction and of variation.
fn is_hidden(c: char) -> bool {
    match c {
        // A soft hyphen, zero-width spaces, invisible operators, byte order marks, fillers of interlinear text.
        '\u{ad}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff0}'..='\u{fffb}' => true,
        // Controls of shorthand and of music.
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' => true,
        // Tags and what is kept for more of them, but for the marks of variation in their midst.
        '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}' => true,
        // Noncharacters: the last two of each plane, and a block.
        '\u{fdd0}'..='\u{fdef}' => true,
        _ => matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff) || HIDDEN_LETTERS.contains(&c),
    }
}

/// What counts as a letter or a mark and shows as nothing: the grapheme joiner, the fillers of Hangul, two vowels of Khmer
/// that are never written.
pub const HIDDEN_LETTERS: [char; 7] =
    ['\u{34f}', '\u{115f}', '\u{1160}', '\u{17b4}', '\u{17b5}', '\u{3164}', '\u{ffa0}'];

/// Whether a text is one that every text here may be: one line in its own direction, with nothing hidden in it.
pub fn is_clean_line(text: &str) -> bool {
    character_fault(text, &[]).is_none()
}

/// A customer's name as it is kept, with one U+0020 for each run of spaces of whatever kind.
pub(super) fn with_single_spaces(name: &str) -> String {
    let mut kept = String::with_capacity(name.len());
    for c in name.chars() {
        if c.general_category() != GeneralCategory::SpaceSeparator {
            kept.push(c);
        } else if !kept.ends_with(' ') {
            kept.push(' ');
        }
    }
    kept
}

/// The kind of character that a name ends with so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NameEnd {
    /// A letter, perhaps with its marks.
    Letter,
    /// A middle dot or a joiner, which needs a letter behind it.
    Joint(char),
    /// The beginning, or what stands between words.
    Gap,
}

/// Everything that is wrong with a customer's name, each as a sentence's end. Its spaces are single ones.
pub(super) fn customer_name_faults(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    length_fault(name, bounds::CUSTOMER_NAME_CHARS, &mut faults);
    faults.extend(customer_name_character_fault(name));
    if !name.is_empty() && faults.is_empty() && !name.chars().any(is_letter) {
        faults.push("must hold a letter".to_owned());
    }
    faults
}

/// The first character of a customer's name that may not be there.
fn customer_name_character_fault(name: &str) -> Option<String> {
    let mut end = NameEnd::Gap;
    for c in name.chars() {
        end = match (c, end) {
            _ if is_hidden(c) => return Some(invisible(c)),
            _ if is_letter(c) => NameEnd::Letter,
            (_, NameEnd::Letter) if is_mark(c) => NameEnd::Letter,
            // As in Bengali, where a joiner separates a letter from the sign that would change its form.
            (_, NameEnd::Joint(joiner)) if is_mark(c) && is_joiner(joiner) => end,
            (_, NameEnd::Letter) if is_joiner(c) || is_middle_dot(c) => NameEnd::Joint(c),
            (_, NameEnd::Joint(joint)) => return Some(not_between_letters(joint)),
            _ if is_joiner(c) || is_middle_dot(c) => return Some(not_between_letters(c)),
            (' ' | '\'' | '’' | '.', _) => NameEnd::Gap,
            _ if is_hyphen(c) => NameEnd::Gap,
            _ => {
                let what = "letters, spaces, hyphens, middle dots, apostrophes and full stops";
                return Some(format!("may hold {what}, not {}", describe(c)));
            }
        };
    }
    match end {
        NameEnd::Joint(joint) => Some(not_between_letters(joint)),
        NameEnd::Letter | NameEnd::Gap => None,
    }
}

fn invisible(c: char) -> String {
    format!("may not hold the invisible character {}", describe(c))
}

fn not_between_letters(c: char) -> String {
    format!("may hold {} between two letters only", describe(c))
}

fn is_letter(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Letter
}

fn is_mark(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Mark
}

const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Zero-width joiner and non-joiner: invisible, and yet part of how Sinhala, Persian and others spell.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | ZERO_WIDTH_JOINER)
}

/// As in Catalan (the second in its decomposed form, the third from older texts), and in Japanese, of both widths.
fn is_middle_dot(c: char) -> bool {
    matches!(c, '\u{b7}' | '\u{387}' | '\u{2027}' | '\u{30fb}' | '\u{ff65}')
}

/// The common one, the hyphen of Unicode, that which allows no break, and the Hebrew maqaf.
fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}' | '\u{5be}')
}

/// Everything that is wrong with an item's name.
pub(super) fn item_name_faults(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    length_fault(name, bounds::ITEM_NAME_CHARS, &mut faults);
    blank_fault(name, &mut faults);
    faults.extend(character_fault(name, &[]));
    faults
}

/// Everything that is wrong with an address. Line breaks and tabs are part of addresses; other control characters
/// (NUL cannot even be stored) are not.
pub(super) fn address_faults(address: &str) -> Vec<String> {
    let mut faults = Vec::new();
    length_fault(address, bounds::ADDRESS_CHARS, &mut faults);
    blank_fault(address, &mut faults);
    faults.extend(character_fault(address, &['\n', '\r', '\t']));
    faults
}

/// The first character that no text may hold, but for those that this one may.
fn character_fault(text: &str, allowed: &[char]) -> Option<String> {
    let is_bad = |c: &char| (breaks_or_turns_line(*c) && !allowed.contains(c)) || is_hidden(*c);
    match text.chars().find(is_bad) {
        Some(c) if c.is_control() => Some(format!("may not hold the control character {}", describe(c))),
        Some(c) if is_hidden(c) => Some(invisible(c)),
        Some(c) => Some(format!("may not hold the line or direction control {}", describe(c))),
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
        // The colours of skin, and the arrows of a head that is shaken or nodded.
        '\u{1f3fb}'..='\u{1f3ff}' | '\u{2194}' | '\u{2195}' => Side::Picture,
        _ if c.general_category() == GeneralCategory::OtherSymbol => Side::Picture,
        _ => Side::Other,
    }
}

fn length_fault(text: &str, bounds: RangeInclusive<usize>, faults: &mut Vec<String>) {
    let chars = text.chars().count();
    if !bounds.contains(&chars) {
        faults.push(format!("must have {} to {} characters, has {chars}", bounds.start(), bounds.end()));
    }
}

fn blank_fault(text: &str, faults: &mut Vec<String>) {
    if !text.is_empty() && text.chars().all(is_invisible) {
        faults.push("must not be blank".to_owned());
    }
}

/// White space, and what shows as little: what is hidden, joiners, marks of direction, the empty sign of Braille.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || is_hidden(c)
        || breaks_or_turns_line(c)
        || is_joiner(c)
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2800}')
}

/// A character as it can be shown in an error and a log line: itself where it is visible, its code point always.
fn describe(c: char) -> String {
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
    fn names_of_every_script_are_taken() {
        for name in [
            "Ada Lovelace",
            "J. R. Tolkien",
            "Miles O’Brien",
            "Seán O'Casey",
            "Anne-Marie",
            "Ελένη",
            "Мария",
            "李小龍",
            "さくら",
            "김민준",
            "अनुष्का शर्मा",
            "नरेन्द्र",
            "محمد",
            "Nguyễn Thị",
            "e\u{301}milie",
            "ʻOkina",
            "ශ්\u{200d}රීමාලි",
            "علی\u{200c}رضا",
            "র\u{200d}্যাচেল",
            "ジョン・スミス",
            "ｼﾞｮﾝ･ｽﾐｽ",
            "Gal·la",
            "Gal\u{387}la",
            "בן־גוריון",
            "Anne\u{2011}Marie",
        ] {
            assert_eq!(customer_name_faults(name), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn names_with_anything_else_are_refused() {
        for name in [
            "",
            " ",
            "...",
            "R2D2",
            "a@b",
            "Ada\n",
            "Ada\0",
            "Ada\tB",
            "<b>",
            "Ada, Countess",
            "\u{301}a",
            "Ada\u{200b}",
            "🍕",
            "Ada\u{2028}",
            "A\u{202e}da",
            "A\u{2067}da",
            "\u{200d}Ada",
            "Ada\u{200c}",
            "A\u{200d}\u{200d}da",
            "Ada \u{200d}B",
            "Ada\u{200c} B",
            "A\u{200d}-B",
            "A\u{200d}\u{301}",
            "·Ada",
            "Ada・",
            "A··B",
            "A ·B",
            "A·\u{301}B",
            "Ada•B",
            "Ⅳ",
        ] {
            assert_ne!(customer_name_faults(name), Vec::<String>::new(), "{name:?}");
        }
    }

    #[test]
    fn spaces_of_every_kind_are_kept_as_single_ones() {
        for (name, kept) in [
            ("山田\u{3000}太郎", "山田 太郎"),
            ("Ada\u{a0}Lovelace", "Ada Lovelace"),
            ("Ada \u{2003}\u{202f} B", "Ada B"),
            (" Ada\u{1680}", " Ada "),
            ("Ada\u{200b}\tB\u{2028}", "Ada\u{200b}\tB\u{2028}"),
        ] {
            assert_eq!(with_single_spaces(name), kept, "{name:?}");
        }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert!(customer_name_faults(&"李".repeat(100)).is_empty());
        assert!(!customer_name_faults(&"李".repeat(101)).is_empty());
        assert!(item_name_faults(&"é".repeat(50)).is_empty());
        assert!(!item_name_faults(&"é".repeat(51)).is_empty());
        assert!(address_faults(&"字".repeat(10)).is_empty());
        assert!(!address_faults(&"字".repeat(9)).is_empty());
        assert!(!address_faults(&"字".repeat(501)).is_empty());
    }

    #[test]
    fn blank_texts_and_control_characters_are_refused() {
        for name in ["   ", "\u{a0}\u{2003}", "\u{200b}\u{feff}", "Pizza\n", "Piz\0za", "\u{7f}x", "a\u{85}"]
        {
            assert!(!item_name_faults(name).is_empty(), "{name:?}");
        }
        for c in
            "\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".chars()
        {
            assert!(!item_name_faults(&format!("Soup{c}of the Day")).is_empty(), "{c:?}");
            assert!(!address_faults(&format!("1 Main Street{c}Springfield")).is_empty(), "{c:?}");
        }
        for name in ["פיצה \u{200e}50\u{200f}", "کتلت\u{200c}ها"] {
            assert!(item_name_faults(name).is_empty(), "{name:?}");
        }
        for name in
            ["র\u{200d}্যা", "ශ්\u{200d}රී", "👨\u{200d}🍳", "🧑🏽\u{200d}🍳", "🏳\u{fe0f}\u{200d}🌈", "☀\u{fe0f}"]
        {
            assert!(item_name_faults(name).is_empty() && is_clean_line(name), "{name:?}");
            assert!(address_faults(&format!("1 Main Street {name}")).is_empty(), "{name:?}");
        }
        assert!(address_faults("1 Main Street\nSpringfield").is_empty());
        assert!(!is_clean_line("1 Main Street\nSpringfield"));
        for address in ["            ", "1 Main Street\0", "\n\n\n\n\n\n\n\n\n\n\n"] {
            assert!(!address_faults(address).is_empty(), "{address:?}");
        }
    }

    #[test]
    fn no_text_holds_what_has_no_width_but_joiners_between_letters() {
        let controls =
            "\u{ad}\u{180e}\u{200b}\u{2060}\u{2062}\u{2064}\u{206a}\u{feff}\u{fff9}\u{1d173}\u{e0041}";
        let unassigned = "\u{fff0}\u{e0080}\u{e01f0}\u{e0fff}\u{fdd0}\u{fffe}\u{ffff}\u{1ffff}\u{10fffe}";
        for c in controls.chars().chain(unassigned.chars()).chain(HIDDEN_LETTERS) {
            assert!(!item_name_faults(&format!("So{c}up")).is_empty(), "{c:?}");
            assert!(!address_faults(&format!("1 Main{c} Street, Springfield")).is_empty(), "{c:?}");
            assert!(!customer_name_faults(&format!("A{c}da")).is_empty(), "{c:?}");
            assert!(!is_clean_line(&format!("chef{c}")), "{c:?}");
            assert!(!customer_name_faults(&c.to_string()).is_empty(), "{c:?}");
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
            assert!(!item_name_faults(text).is_empty(), "{text:?}");
            assert!(!address_faults(&format!("{text:>12}")).is_empty(), "{text:?}");
            assert!(!is_clean_line(text), "{text:?}");
        }
    }
}
