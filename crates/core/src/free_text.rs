//! Free text of callers: length, control characters, and nothing that looks like a card number.

use crate::Violations;

/// Checks a text of a caller: its length in characters, and that it holds neither control characters (but tabs and line
/// feeds) nor what looks like a card number. An empty one is fine.
pub fn check_free_text(text: &str, field: &str, chars_max: usize, violations: &mut Violations) {
    violations.check(
        text.chars().count() <= chars_max,
        field,
        "FIELD_OUT_OF_RANGE",
        format!("may have at most {chars_max} characters"),
    );
    violations.check(
        !text
            .chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t'),
        field,
        "FIELD_MALFORMED",
        "must not hold control characters",
    );
    check_card_number(text, field, violations);
}

/// Checks that a text does not look like a card number, for texts that are written by people. Not for barcodes and the
/// numbers of carriers, some of which do.
pub fn check_card_number(text: &str, field: &str, violations: &mut Violations) {
    violations.check(
        !looks_like_card_number(text),
        field,
        "CARD_NUMBER_REFUSED",
        "looks like a card number, which must never be sent",
    );
}

/// True when 13 to 19 digits in a row, spaces and hyphens aside, pass the Luhn check and begin as cards do.
fn looks_like_card_number(text: &str) -> bool {
    let mut digits: Vec<u32> = Vec::new();
    for c in text.chars().chain(std::iter::once('x')) {
        match c.to_digit(10) {
            Some(digit) => digits.push(digit),
            None if c == ' ' || c == '-' => {}
            None => {
                if is_card(&digits) {
                    return true;
                }
                digits.clear();
            }
        }
    }
    false
}

fn is_card(digits: &[u32]) -> bool {
    let begins_as_cards_do = matches!(digits.first(), Some(2..=6));
    (13..=19).contains(&digits.len()) && begins_as_cards_do && passes_luhn(digits)
}

fn passes_luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => *digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_refused_however_they_are_written() {
        for text in [
            "4242424242424242",
            "card 4242 4242 4242 4242 please",
            "5555-5555-5555-4444",
        ] {
            assert!(looks_like_card_number(text), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_fine() {
        for text in [
            "4242424242424241",
            "tel 555 123 4567",
            "0000000000000000",
            "CA-2016-152156",
            "",
        ] {
            assert!(!looks_like_card_number(text), "{text}");
        }
    }
}
