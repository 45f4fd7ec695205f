//! Postal addresses: what a carrier needs to deliver.

use std::fmt;

use oms_core::{Violations, check_free_text, country};
use serde::{Deserialize, Serialize};

/// Longest part of an address in characters.
const PART_LEN_MAX: usize = 100;
/// Most street lines.
const STREET_LINES_MAX: usize = 3;

/// A postal address. Personal data: it never shows in logs. Sealed it is JSON with these names.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    /// Name of the recipient.
    pub(crate) recipient: String,
    /// Street lines.
    pub(crate) address_lines: Vec<String>,
    /// City.
    pub(crate) locality: String,
    /// State or province.
    pub(crate) administrative_area: String,
    /// Postal code.
    pub(crate) postal_code: String,
    /// ISO 3166-1 alpha-2 code.
    pub(crate) country_code: String,
    /// Telephone number; may be empty.
    pub(crate) phone: String,
    /// E-mail address; may be empty.
    pub(crate) email: String,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("country_code", &self.country_code)
            .finish_non_exhaustive()
    }
}

/// Everything that is wrong with an address; fields are relative to it.
pub(crate) fn check_address(address: &Address) -> Violations {
    let mut violations = Violations::default();
    check_part(&address.recipient, "recipient", &mut violations);
    check_part(&address.locality, "locality", &mut violations);
    check_streets(&address.address_lines, &mut violations);
    for (text, field) in [
        (&address.administrative_area, "administrative_area"),
        (&address.phone, "phone"),
        (&address.email, "email"),
    ] {
        check_free_text(text, field, PART_LEN_MAX, &mut violations);
    }
    check_country(address, &mut violations);
    violations.check(
        address.email.is_empty() || address.email.contains('@'),
        "email",
        "ADDRESS_INVALID",
        "is no e-mail address",
    );
    violations
}

fn check_part(text: &str, field: &str, violations: &mut Violations) {
    if text.trim().is_empty() {
        violations.push(field, "ADDRESS_INVALID", "must not be empty");
    }
    check_free_text(text, field, PART_LEN_MAX, violations);
}

fn check_streets(lines: &[String], violations: &mut Violations) {
    violations.check(
        (1..=STREET_LINES_MAX).contains(&lines.len()),
        "address_lines",
        "ADDRESS_INVALID",
        format!("must have 1 to {STREET_LINES_MAX} lines"),
    );
    for (index, line) in lines.iter().take(STREET_LINES_MAX).enumerate() {
        check_part(line, &format!("address_lines[{index}]"), violations);
    }
}

fn check_country(address: &Address, violations: &mut Violations) {
    if address.country_code.is_empty() {
        violations.push("country_code", "ADDRESS_INVALID", "must not be empty");
        return;
    }
    if !country::is_known(&address.country_code) {
        violations.push(
            "country_code",
            "COUNTRY_UNKNOWN",
            "is no ISO 3166-1 alpha-2 code",
        );
        return;
    }
    check_free_text(&address.postal_code, "postal_code", 16, violations);
    if address.country_code != "US" {
        return;
    }
    violations.check(
        is_zip_code(&address.postal_code),
        "postal_code",
        "ADDRESS_INVALID",
        "must be five digits or ZIP+4",
    );
    violations.check(
        !address.administrative_area.trim().is_empty(),
        "administrative_area",
        "ADDRESS_INVALID",
        "must name a state",
    );
}

fn is_zip_code(text: &str) -> bool {
    let digits = |part: &str, count: usize| {
        part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    match text.split_once('-') {
        Some((zip, plus)) => digits(zip, 5) && digits(plus, 4),
        None => digits(text, 5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        Address {
            recipient: "Claire Gute".into(),
            address_lines: vec!["1 Main St".into()],
            locality: "Henderson".into(),
            administrative_area: "Kentucky".into(),
            postal_code: "42420".into(),
            country_code: "US".into(),
            phone: String::new(),
            email: String::new(),
        }
    }

    fn broken(address: &Address) -> Vec<(String, &'static str)> {
        check_address(address)
            .iter()
            .map(|v| (v.field.clone(), v.reason))
            .collect()
    }

    #[test]
    fn a_good_address_has_no_violations() {
        assert_eq!(broken(&address()), []);
        let abroad = Address {
            country_code: "DE".into(),
            postal_code: "10115".into(),
            ..address()
        };
        assert_eq!(broken(&abroad), []);
    }

    #[test]
    fn every_missing_part_is_told() {
        let empty = Address {
            recipient: " ".into(),
            address_lines: vec![],
            locality: String::new(),
            administrative_area: String::new(),
            postal_code: "4242".into(),
            ..address()
        };
        let fields: Vec<String> = broken(&empty).into_iter().map(|(field, _)| field).collect();
        assert_eq!(
            fields,
            [
                "recipient",
                "locality",
                "address_lines",
                "postal_code",
                "administrative_area"
            ]
        );
    }

    #[test]
    fn a_country_that_does_not_exist_is_refused() {
        let nowhere = Address {
            country_code: "XX".into(),
            ..address()
        };
        assert_eq!(
            broken(&nowhere),
            [("country_code".into(), "COUNTRY_UNKNOWN")]
        );
    }

    #[test]
    fn it_does_not_show_in_debug_output() {
        let shown = format!("{:?}", address());
        assert!(
            !shown.contains("Claire") && !shown.contains("Main"),
            "{shown}"
        );
    }
}
