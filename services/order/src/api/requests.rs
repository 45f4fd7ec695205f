//! What requests have in common: ids, etags, pages, enums.

use std::str::FromStr;

use oms_core::{Money, Principal, Violations};
use oms_proto::Mutation;
use oms_proto::common::v1 as common;
use oms_service::{ApiError, PageToken, fingerprint};
use serde::Serialize;
use time::OffsetDateTime;
use tonic::Status;
use uuid::Uuid;

use crate::ctx::Caller;

/// Fails with everything that is wrong.
pub(super) fn refuse(violations: Violations) -> Result<(), Status> {
    violations.into_result().map_err(refused)
}

/// The status of a request with these violations.
pub(super) fn refused(violations: Violations) -> Status {
    ApiError::from(violations).into()
}

/// The id that the request asks for.
pub(super) fn id<T>(text: &str, field: &str, violations: &mut Violations) -> Option<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    if text.is_empty() {
        violations.push(field, "FIELD_REQUIRED", "must not be empty");
        return None;
    }
    violations.parse(field, "FIELD_MALFORMED", text)
}

/// An id that may be left out.
pub(super) fn optional_id<T>(text: &str, field: &str, violations: &mut Violations) -> Option<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    if text.is_empty() {
        return None;
    }
    violations.parse(field, "FIELD_MALFORMED", text)
}

/// An amount above zero that the request asks for.
pub(super) fn money(
    message: Option<&common::Money>,
    field: &str,
    violations: &mut Violations,
) -> Option<Money> {
    let Some(message) = message else {
        violations.push(field, "FIELD_REQUIRED", "must not be empty");
        return None;
    };
    let code = &message.currency_code;
    let of_code = format!("{field}.currency_code");
    let currency = violations.parse(&of_code, "CURRENCY_UNKNOWN", code);
    let reason = if message.minor_units < 0 {
        "AMOUNT_NEGATIVE"
    } else {
        "FIELD_OUT_OF_RANGE"
    };
    violations.check(
        message.minor_units > 0,
        format!("{field}.minor_units"),
        reason,
        "must be above zero",
    );
    Some(Money::new(currency?, message.minor_units))
}

/// A time that may be left out.
pub(super) fn optional_time(
    time: Option<prost_types::Timestamp>,
    field: &str,
    violations: &mut Violations,
) -> Option<OffsetDateTime> {
    let read = oms_proto::time_from_proto(time?);
    if let Err(error) = &read {
        violations.push(field, "FIELD_OUT_OF_RANGE", error.to_string());
    }
    // Postgres keeps microseconds.
    let read = read.ok()?;
    Some(
        read.replace_nanosecond(read.microsecond() * 1_000)
            .unwrap_or(read),
    )
}

/// Who calls, as which call: `message` is the request without what may differ in a repeat.
pub(super) fn caller(principal: Principal, request_id: Uuid, message: &impl Mutation) -> Caller {
    Caller {
        principal,
        request_id,
        fingerprint: fingerprint(message),
        reason: message.why().to_owned(),
    }
}

/// Cuts what was found to a page: one more than it holds was asked for, which tells whether there is a next one. Answers the
/// token of that, which is sealed for the same filter and holds the position of the last; empty when there is none.
pub(super) fn next_page<T, P: Serialize>(
    found: &mut Vec<T>,
    size: i64,
    seal: &[u8; 32],
    position: impl FnOnce(&T) -> P,
) -> String {
    let size = usize::try_from(size).unwrap_or_default();
    let more = found.len() > size;
    found.truncate(size);
    match found.last() {
        Some(last) if more => PageToken::encode(&position(last), seal),
        _ => String::new(),
    }
}

/// A position in a list by time and id, as page tokens carry it.
pub(super) fn position<I>(time: OffsetDateTime, id: I) -> (i64, I) {
    let micros = time.unix_timestamp_nanos() / 1_000;
    (i64::try_from(micros).unwrap_or_default(), id)
}

/// The time and id of a position.
pub(super) fn of_position<I>(position: (i64, I)) -> Option<(OffsetDateTime, I)> {
    let (micros, id) = position;
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000);
    Some((time.ok()?, id))
}
