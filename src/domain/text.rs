//! What the texts of an order may hold. Lengths are counted in Unicode characters, as PostgreSQL does.

use std::ops::RangeInclusive;

use clean_text::{
    invisible, is_hidden, is_invisible, is_joiner, is_letter, is_mark, line_fault, not_between_letters,
};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::bounds;

/// A customer's name as it is kept, with one U+0020 for each run of spaces of whatever kind.
pub(super) fn with_single_spaces(name: &str) -> String {
    let mut kept = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_graphic() || c.general_category() != GeneralCategory::SpaceSeparator {
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
                return Some(format!("may hold {what}, not {}", clean_text::describe(c)));
            }
        };
    }
    match end {
        NameEnd::Joint(joint) => Some(not_between_letters(joint)),
        NameEnd::Letter | NameEnd::Gap => None,
    }
}

/// As in Catalan (the second in its decomposed form, the third from older texts), and in Japanese, of both widths.
fn is_middle_dot(c: char) -> bool {
    matches!(c, '\u{b7}' | '\u{387}' | '\u{2027}' | '\u{30fb}' | '\u{ff65}')
}

/// The common one, the hyphen of Unicode, that which allows no break, and the Hebrew maqaf.
fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}' | '\u{5be}')
}

/// Everything that is wrong with the reason of a cancellation.
pub fn reason_faults(reason: &str) -> Vec<String> {
    line_faults(reason, bounds::REASON_CHARS)
}

/// Everything that is wrong with a text of one line, such as the name of a dish.
pub(super) fn line_faults(line: &str, chars: RangeInclusive<usize>) -> Vec<String> {
    text_faults(line, chars, &[])
}

/// Everything that is wrong with an address. Line breaks and tabs are part of addresses; other control characters
/// (NUL cannot even be stored) are not.
pub(super) fn address_faults(address: &str) -> Vec<String> {
    text_faults(address, bounds::ADDRESS_CHARS, &['\n', '\r', '\t'])
}

fn text_faults(text: &str, chars: RangeInclusive<usize>, controls: &[char]) -> Vec<String> {
    let mut faults = Vec::new();
    length_fault(text, chars, &mut faults);
    blank_fault(text, &mut faults);
    faults.extend(line_fault(text, controls));
    faults
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

#[cfg(test)]
mod tests {
    use clean_text::is_clean_line;

    use super::*;

    fn item_name_faults(name: &str) -> Vec<String> {
        line_faults(name, bounds::ITEM_NAME_CHARS)
    }

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
    fn every_text_is_a_clean_one() {
        for c in ['\u{200b}', '\u{3164}', '\u{34f}', '\u{fdd0}', '\u{e0041}'] {
            assert!(!item_name_faults(&format!("So{c}up")).is_empty(), "{c:?}");
            assert!(!address_faults(&format!("1 Main{c} Street, Springfield")).is_empty(), "{c:?}");
            assert!(!customer_name_faults(&format!("A{c}da")).is_empty(), "{c:?}");
            assert!(!customer_name_faults(&c.to_string()).is_empty(), "{c:?}");
        }
    }
}
