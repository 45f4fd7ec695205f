//! Fields that several requests have.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::str::FromStr;

use oms_core::{LocationId, Quantity, Sku, Violations, country};
use oms_proto::common::v1::PostalAddress;
use prost_types::Timestamp;
use time::OffsetDateTime;

use crate::domain::location::Address;

pub(super) const REQUIRED: &str = "FIELD_REQUIRED";
pub(super) const MALFORMED: &str = "FIELD_MALFORMED";
pub(super) const OUT_OF_RANGE: &str = "FIELD_OUT_OF_RANGE";
pub(super) const DUPLICATE: &str = "DUPLICATE";
const ADDRESS_INVALID: &str = "ADDRESS_INVALID";

/// Longest lot in characters.
const LOT_CHARS_MAX: usize = 64;

/// A required typed value.
pub(super) fn required<T>(field: &str, text: &str, violations: &mut Violations) -> Option<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    if text.is_empty() {
        violations.push(field, REQUIRED, "must not be empty");
        return None;
    }
    violations.parse(field, MALFORMED, text)
}

/// Units of a line.
pub(super) fn units(field: &str, units: i64, violations: &mut Violations) -> i64 {
    if let Err(error) = Quantity::try_new(units) {
        violations.push(field, "QUANTITY_INVALID", error.to_string());
    }
    units
}

/// A moment; `None` when none is given. Postgres keeps microseconds.
pub(super) fn time(
    field: &str,
    given: Option<Timestamp>,
    violations: &mut Violations,
) -> Option<OffsetDateTime> {
    let read = oms_proto::time_from_proto(given?).ok();
    let micros = read.and_then(|at| at.replace_nanosecond(at.microsecond() * 1_000).ok());
    if micros.is_none() {
        violations.push(field, MALFORMED, "is no time of the years 1 to 9999");
    }
    micros
}

/// Text for people: so many characters at most, and none that cannot be printed.
pub(super) fn text(
    field: &str,
    text: &str,
    chars: std::ops::RangeInclusive<usize>,
    violations: &mut Violations,
) -> String {
    if text.is_empty() && !chars.contains(&0) {
        violations.push(field, REQUIRED, "must not be empty");
        return String::new();
    }
    let (least, most) = (chars.start(), chars.end());
    violations.check(
        chars.contains(&text.chars().count()),
        field,
        OUT_OF_RANGE,
        format!("must have {least} to {most} characters"),
    );
    violations.check(
        !text.chars().any(char::is_control),
        field,
        MALFORMED,
        "must not hold control characters",
    );
    text.to_owned()
}

/// [`text`] that people write as they like.
pub(super) fn free_text(
    field: &str,
    words: &str,
    chars: std::ops::RangeInclusive<usize>,
    violations: &mut Violations,
) -> String {
    oms_core::check_card_number(words, field, violations);
    text(field, words, chars, violations)
}

/// A lot; empty when the item has none.
pub(super) fn lot(field: &str, lot: &str, violations: &mut Violations) -> String {
    text(field, lot, 0..=LOT_CHARS_MAX, violations)
}

/// The number of elements of a list. Beyond it nothing more is looked at.
pub(super) fn count(
    field: &str,
    len: usize,
    bounds: std::ops::RangeInclusive<usize>,
    violations: &mut Violations,
) -> bool {
    if len == 0 && !bounds.contains(&0) {
        violations.push(field, REQUIRED, "must not be empty");
        return false;
    }
    let (least, most) = (bounds.start(), bounds.end());
    let message = format!("must have {least} to {most} elements, not {len}");
    violations.check(bounds.contains(&len), field, OUT_OF_RANGE, message)
}

/// SKUs; naming one twice is the same as once.
pub(super) fn skus(skus: &[String], violations: &mut Violations) -> BTreeSet<Sku> {
    if !count("skus", skus.len(), 1..=1_000, violations) {
        return BTreeSet::new();
    }
    let numbered = skus.iter().enumerate();
    numbered
        .filter_map(|(number, sku)| required(&format!("skus[{number}]"), sku, violations))
        .collect()
}

/// Locations, each once.
pub(super) fn locations(
    field: &str,
    ids: &[String],
    bounds: std::ops::RangeInclusive<usize>,
    violations: &mut Violations,
) -> Vec<LocationId> {
    if !count(field, ids.len(), bounds, violations) {
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut read = Vec::with_capacity(ids.len());
    for (number, text) in ids.iter().enumerate() {
        let field = format!("{field}[{number}]");
        let Some(id) = required::<LocationId>(&field, text, violations) else {
            continue;
        };
        if violations.check(seen.insert(text), field, DUPLICATE, "stands here twice") {
            read.push(id);
        }
    }
    read
}

/// A place of business.
pub(super) fn address(address: Option<PostalAddress>, violations: &mut Violations) -> Address {
    if address.is_none() {
        violations.push("location.address", REQUIRED, "must not be empty");
    }
    let given = address.is_some();
    let address = address.unwrap_or_default();
    let mut found = Violations::default();
    part("recipient", &address.recipient, 1, &mut found);
    let lines = address.address_lines.len();
    let lines_fit = (1..=3).contains(&lines);
    found.check(
        lines_fit,
        "address_lines",
        ADDRESS_INVALID,
        "must have 1 to 3 lines",
    );
    for (number, line) in address.address_lines.iter().take(3).enumerate() {
        part(&format!("address_lines[{number}]"), line, 1, &mut found);
    }
    part("locality", &address.locality, 1, &mut found);
    part(
        "administrative_area",
        &address.administrative_area,
        0,
        &mut found,
    );
    part("postal_code", &address.postal_code, 0, &mut found);
    part("phone", &address.phone, 0, &mut found);
    part("email", &address.email, 0, &mut found);
    found.check(
        country::is_known(&address.country_code),
        "country_code",
        "COUNTRY_UNKNOWN",
        "must be an ISO 3166-1 alpha-2 code",
    );
    if address.country_code == "US" {
        let is_zip = oms_core::geo::us_postal_point(&address.postal_code).is_some();
        found.check(
            is_zip,
            "postal_code",
            ADDRESS_INVALID,
            "must be five digits or ZIP+4",
        );
    }
    if given {
        violations.extend_under("location.address", found);
    }
    Address {
        recipient: address.recipient,
        lines: address.address_lines,
        locality: address.locality,
        administrative_area: address.administrative_area,
        postal_code: address.postal_code,
        country_code: address.country_code,
        phone: address.phone,
        email: address.email,
    }
}

fn part(field: &str, text: &str, least: usize, violations: &mut Violations) {
    let fits = (least..=100).contains(&text.trim().chars().count());
    let prints = !text.chars().any(char::is_control);
    let message = format!("must have {least} to 100 characters that can be printed");
    violations.check(fits && prints, field, ADDRESS_INVALID, message);
}
