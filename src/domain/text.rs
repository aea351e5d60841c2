//! What the texts of an order may hold. Lengths are counted in Unicode characters, as PostgreSQL does.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

pub(super) const MAX_CUSTOMER_NAME_CHARS: usize = 100;
pub(super) const MAX_ITEM_NAME_CHARS: usize = 50;
pub(super) const MIN_ADDRESS_CHARS: usize = 10;
pub(super) const MAX_ADDRESS_CHARS: usize = 500;

/// Everything that is wrong with a customer's name, each as a sentence's end.
pub(super) fn customer_name_faults(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    length_fault(name, 1, MAX_CUSTOMER_NAME_CHARS, &mut faults);
    let mut previous_was_letter = false;
    let mut has_letter = false;
    for c in name.chars() {
        let group = c.general_category_group();
        let letter = group == GeneralCategoryGroup::Letter;
        let mark_on_letter = group == GeneralCategoryGroup::Mark && previous_was_letter;
        if !(letter || mark_on_letter || matches!(c, ' ' | '-' | '‐' | '\'' | '’' | '.')) {
            faults.push(format!(
                "may hold letters, spaces, hyphens, apostrophes and full stops, not {}",
                describe(c)
            ));
            break;
        }
        previous_was_letter = letter || mark_on_letter;
        has_letter |= letter;
    }
    if !name.is_empty() && faults.is_empty() && !has_letter {
        faults.push("must hold a letter".to_owned());
    }
    faults
}

/// Everything that is wrong with an item's name.
pub(super) fn item_name_faults(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    length_fault(name, 1, MAX_ITEM_NAME_CHARS, &mut faults);
    blank_fault(name, &mut faults);
    if let Some(c) = name.chars().find(|c| c.is_control()) {
        faults.push(format!("may not hold the control character {}", describe(c)));
    }
    faults
}

/// Everything that is wrong with an address. Line breaks and tabs are part of addresses; other control characters
/// (NUL cannot even be stored) are not.
pub(super) fn address_faults(address: &str) -> Vec<String> {
    let mut faults = Vec::new();
    length_fault(address, MIN_ADDRESS_CHARS, MAX_ADDRESS_CHARS, &mut faults);
    blank_fault(address, &mut faults);
    if let Some(c) = address.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        faults.push(format!("may not hold the control character {}", describe(c)));
    }
    faults
}

fn length_fault(text: &str, min: usize, max: usize, faults: &mut Vec<String>) {
    let chars = text.chars().count();
    if !(min..=max).contains(&chars) {
        faults.push(format!("must have {min} to {max} characters, has {chars}"));
    }
}

fn blank_fault(text: &str, faults: &mut Vec<String>) {
    if !text.is_empty() && text.chars().all(is_invisible) {
        faults.push("must not be blank".to_owned());
    }
}

/// White space, and what shows as little: zero-width and direction marks, a byte order mark, fillers.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}')
        || c == '\u{ffa0}'
}

/// A character as it can be shown in an error and a log line: itself where it is visible, its code point always.
fn describe(c: char) -> String {
    let code = u32::from(c);
    if c.is_alphanumeric() || c.is_ascii_punctuation() {
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
        ] {
            assert_ne!(customer_name_faults(name), Vec::<String>::new(), "{name:?}");
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
        assert!(address_faults("1 Main Street\nSpringfield").is_empty());
        for address in ["            ", "1 Main Street\0", "\n\n\n\n\n\n\n\n\n\n\n"] {
            assert!(!address_faults(address).is_empty(), "{address:?}");
        }
    }
}
