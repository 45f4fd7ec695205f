//! Tracking numbers of the built-in carrier: `OM`, 17 digits, and a check digit that catches typing errors.

use uuid::Uuid;

const PREFIX: &str = "OM";
const DIGITS: u128 = 100_000_000_000_000_000;

/// The number that belongs to one package under one label: always the same for the same two ids.
pub(crate) fn for_package(label_id: Uuid, package_id: Uuid) -> String {
    let name = format!("package/{package_id}");
    let body = oms_core::derive(label_id, &name).as_u128() % DIGITS;
    let body = format!("{body:017}");
    let check = check_digit(&body);
    format!("{PREFIX}{body}{check}")
}

/// Modulo 10 with weights 3 and 1 from the right, as GS1 numbers have it.
fn check_digit(body: &str) -> u32 {
    let sum: u32 = body
        .chars()
        .rev()
        .filter_map(|c| c.to_digit(10))
        .zip([3, 1].into_iter().cycle())
        .map(|(digit, weight)| digit * weight)
        .sum();
    (10 - sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a text is a number of the built-in carrier with a right check digit.
    fn is_valid(text: &str) -> bool {
        let Some(digits) = text.strip_prefix(PREFIX) else {
            return false;
        };
        if digits.len() != 18 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        let (body, check) = digits.split_at(17);
        check == check_digit(body).to_string()
    }

    #[test]
    fn numbers_are_stable_and_differ_by_label_and_package() {
        let (label, other, package) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        assert_eq!(for_package(label, package), for_package(label, package));
        assert_ne!(for_package(label, package), for_package(other, package));
        assert_ne!(for_package(label, package), for_package(label, other));
        assert_eq!(for_package(label, package).len(), 20);
    }

    #[test]
    fn a_wrong_digit_is_noticed() {
        for seed in 0..200 {
            let number = for_package(Uuid::from_u128(seed), Uuid::from_u128(seed * 7 + 1));
            assert!(is_valid(&number), "{number}");
            for position in 2..number.len() {
                let mut wrong: Vec<u8> = number.bytes().collect();
                wrong[position] = b'0' + (wrong[position] - b'0' + 1) % 10;
                assert!(!is_valid(std::str::from_utf8(&wrong).unwrap()));
            }
        }
        for wrong in [
            "",
            "OM",
            "OM12",
            "XX000000000000000000",
            "OM00000000000000000x",
        ] {
            assert!(!is_valid(wrong), "{wrong}");
        }
        // The published example of GS1.
        assert_eq!(check_digit("629104150021"), 3);
    }
}
