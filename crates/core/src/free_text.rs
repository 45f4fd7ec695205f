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

/// Checks that a text holds nothing that looks like a card number, for texts that are written by people. Not for barcodes
/// and the numbers of carriers, some of which do.
pub fn check_card_number(text: &str, field: &str, violations: &mut Violations) {
    violations.check(
        !looks_like_card_number(text),
        field,
        "CARD_NUMBER_REFUSED",
        "looks like a card number, which must never be sent",
    );
}

/// Most digits of a card number.
const DIGITS_MAX: usize = 19;

/// Fewest digits of a group that other groups of the same number follow, where the number stands among other digits.
/// Cards are printed as 4 4 4 4 or 4 6 5; phone numbers have shorter groups.
const GROUP_MIN: usize = 4;

/// Most digits of a number that is written with a `+`: a phone number.
const DIALLED_MAX: usize = 14;

/// True when digits of the text begin as the cards of a known issuer, are as many as those have, and pass the Luhn check.
///
/// People write what belongs to a card beside its number (`4242 4242 4242 4242 12/26 123`), so every row of whole groups of
/// digits is looked at, not only all that stand together. Within a group nothing is looked for: long ids of orders and
/// parcels hold everything somewhere. What is left of mistakes: one in ten of the numbers that are as long as a card
/// and begin like one, such as a tracking number of 16 digits or a phone number of 13 without its `+`.
pub fn looks_like_card_number(text: &str) -> bool {
    text.split('+').enumerate().any(|(pluses, piece)| {
        let runs = piece.split(|c: char| !c.is_ascii_digit() && !is_separator(c));
        runs.enumerate().any(|(at, run)| {
            let groups = run.split(is_separator).filter(|group| !group.is_empty());
            let groups: Vec<&str> = groups.collect();
            let is_dialled = pluses > 0 && at == 0;
            !(is_dialled && digits_of(&groups) <= DIALLED_MAX) && holds_card(&groups)
        })
    })
}

/// What people put between the digits of a number.
fn is_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t' | '-' | '.' | '_' | '/' | '\u{a0}' | '\u{202f}' | '\u{2010}'..='\u{2014}'
    )
}

fn digits_of(groups: &[&str]) -> usize {
    groups.iter().map(|group| group.len()).sum()
}

/// Whether groups that follow each other are a card number.
fn holds_card(groups: &[&str]) -> bool {
    (0..groups.len()).any(|first| {
        let mut digits: Vec<u32> = Vec::new();
        let mut is_printed = true;
        for (last, group) in groups.iter().enumerate().skip(first) {
            digits.extend(group.bytes().map(|digit| u32::from(digit - b'0')));
            if digits.len() > DIGITS_MAX {
                return false;
            }
            let is_all = first == 0 && last + 1 == groups.len();
            if (is_all || is_printed) && is_card(&digits) {
                return true;
            }
            is_printed &= group.len() >= GROUP_MIN;
            if first > 0 && !is_printed {
                return false;
            }
        }
        false
    })
}

fn is_card(digits: &[u32]) -> bool {
    let Some(beginning) = digits.get(..4) else {
        return false;
    };
    let beginning = beginning
        .iter()
        .fold(0_u32, |number, digit| number * 10 + digit);
    is_issued(beginning, digits.len()) && passes_luhn(digits)
}

/// Whether cards with these first four digits are so long.
fn is_issued(beginning: u32, length: usize) -> bool {
    match beginning {
        // Visa.
        4000..=4999 => matches!(length, 13 | 16 | 19),
        // Mastercard.
        2221..=2720 | 5100..=5599 => length == 16,
        // American Express.
        3400..=3499 | 3700..=3799 => length == 15,
        // Diners Club.
        3000..=3059 | 3095 => length == 14,
        3600..=3699 | 3800..=3999 => matches!(length, 14 | 16),
        // JCB, Mir, Maestro, RuPay, Discover, UnionPay and others.
        3528..=3589
        | 2200..=2204
        | 5018..=5020
        | 5038
        | 5060..=5089
        | 5600..=5899
        | 6000..=6099
        | 6200..=6599
        | 6700..=6799 => (16..=DIGITS_MAX).contains(&length),
        _ => false,
    }
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
            "4242.4242.4242.4242",
            "4242_4242_4242_4242",
            "4242\t4242\u{a0}4242\u{202f}4242",
            "4242\u{2013}4242\u{2013}4242\u{2013}4242",
            "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",
            "+4242424242424242",
            "3782 822463 10005",
            "3056 930902 5904",
            "6011 1111 1111 1117",
            "2223003122003222",
            "6205500000000000004",
            "4222222222222",
        ] {
            assert!(looks_like_card_number(text), "{text}");
        }
    }

    #[test]
    fn a_card_number_is_found_beside_what_belongs_to_it() {
        for text in [
            "4242 4242 4242 4242 12/26",
            "4242 4242 4242 4242 123",
            "4242424242424242/1226/123",
            "5555 5555 5555 4444 08/27",
            "3782 822463 10005 08/27 1234",
            "12/26 4242-4242-4242-4242",
            "order 1 4242424242424242",
            "+49 1512 3456784 / 4242 4242 4242 4242",
            "2026-07-01 5555555555554444 90 USD",
        ] {
            assert!(looks_like_card_number(text), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_fine() {
        // Those of 13 digits and more pass the Luhn check: what they are not is a card's.
        for text in [
            "4242424242424241",
            "4242 4242 4242",
            "tel 555 123 4567",
            "tel +4915123456787",
            "+49 1512 345 6787",
            "415-555-0008 / 415-555-0100",
            "9400 1000 0000 0000 0000 13",
            "1Z 999 AA1 0123 4567 84",
            "parcel 4242424242424242000018",
            "0000000000000000",
            "CA-2016-152156",
            "302-1234567-1234565",
            "2026-03-01 10:20:30 #2026030112345601",
            "",
        ] {
            assert!(!looks_like_card_number(text), "{text}");
        }
    }
}
