//! What a webhook of the built-in carrier says: `{"tracking_number", "status", "occurred_at", "description"}`.

use oms_core::Violations;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::webhook::Told;
use crate::domain::tracking::{
    DESCRIPTION_CHARS_MAX, EVENT_ID_CHARS_MAX, NUMBER_CHARS_MAX, TrackingStatus, is_ahead,
};

const REQUIRED: &str = "FIELD_REQUIRED";
const MALFORMED: &str = "FIELD_MALFORMED";
const RANGE: &str = "FIELD_OUT_OF_RANGE";

/// Reads an event; everything that is wrong with it is told at once. Fields that are not known are skipped.
pub(super) fn read(event_id: &str, body: &[u8], now: OffsetDateTime) -> Result<Told, Violations> {
    let mut wrong = Violations::default();
    fits(&mut wrong, "webhook-id", event_id, EVENT_ID_CHARS_MAX);
    let Ok(sent) = serde_json::from_slice::<Map<String, Value>>(body) else {
        wrong.push("body", MALFORMED, "must be a JSON object");
        return Err(wrong);
    };
    let tracking_number = required(&mut wrong, &sent, "tracking_number");
    fits(
        &mut wrong,
        "tracking_number",
        tracking_number,
        NUMBER_CHARS_MAX,
    );
    let description = optional(&mut wrong, &sent, "description");
    fits(
        &mut wrong,
        "description",
        description,
        DESCRIPTION_CHARS_MAX,
    );
    let status = required(&mut wrong, &sent, "status");
    let status = known(&mut wrong, "status", status, TrackingStatus::parse);
    let occurred_at = required(&mut wrong, &sent, "occurred_at");
    let occurred_at = known(&mut wrong, "occurred_at", occurred_at, |text| {
        OffsetDateTime::parse(text, &Rfc3339).ok()
    });
    let is_past = occurred_at.is_none_or(|at| !is_ahead(at, now));
    wrong.check(is_past, "occurred_at", RANGE, "must not lie in the future");
    match (status, occurred_at) {
        (Some(status), Some(occurred_at)) if wrong.is_empty() => Ok(Told {
            event_id: event_id.to_owned(),
            tracking_number: tracking_number.to_owned(),
            status,
            description: description.to_owned(),
            occurred_at,
        }),
        _ => Err(wrong),
    }
}

/// A text that must be there; empty when it is not, which is noted.
fn required<'a>(wrong: &mut Violations, sent: &'a Map<String, Value>, field: &str) -> &'a str {
    match sent.get(field) {
        None | Some(Value::Null) => {
            wrong.push(field, REQUIRED, "must be set");
            ""
        }
        Some(Value::String(text)) if text.is_empty() => {
            wrong.push(field, REQUIRED, "must not be empty");
            ""
        }
        Some(_) => optional(wrong, sent, field),
    }
}

fn optional<'a>(wrong: &mut Violations, sent: &'a Map<String, Value>, field: &str) -> &'a str {
    match sent.get(field) {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) => text,
        Some(_) => {
            wrong.push(field, MALFORMED, "must be a text");
            ""
        }
    }
}

/// What a text means; a text that is there and means nothing is noted.
fn known<T>(
    wrong: &mut Violations,
    field: &str,
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let value = parse(text);
    let message = match field {
        "status" => "must be a status, such as IN_TRANSIT",
        _ => "must be a time, such as 2026-03-01T08:30:00Z",
    };
    let is_told = value.is_some() || text.is_empty();
    wrong.check(is_told, field, MALFORMED, message);
    value
}

fn fits(wrong: &mut Violations, field: &str, text: &str, chars_max: usize) {
    let is_short = text.chars().count() <= chars_max;
    let message = format!("must have at most {chars_max} characters");
    wrong.check(is_short, field, RANGE, message);
    let is_plain = !text.chars().any(char::is_control);
    wrong.check(
        is_plain,
        field,
        MALFORMED,
        "must have no control characters",
    );
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap()
    }

    fn wrong(body: &str) -> Vec<(String, &'static str)> {
        let violations = read("evt_1", body.as_bytes(), now()).unwrap_err();
        let violations = violations.into_iter();
        violations.map(|one| (one.field, one.reason)).collect()
    }

    #[test]
    fn an_event_is_read_and_unknown_fields_are_skipped() {
        let body = r#"{"tracking_number": "OM1", "status": "OUT_FOR_DELIVERY", "depot": 7,
                       "occurred_at": "2023-11-14T23:13:20+01:00", "description": "on the van"}"#;
        let told = read("evt_1", body.as_bytes(), now()).unwrap();
        assert_eq!(told.event_id, "evt_1");
        assert_eq!(told.tracking_number, "OM1");
        assert_eq!(told.status, TrackingStatus::OutForDelivery);
        assert_eq!(told.description, "on the van");
        assert_eq!(told.occurred_at, now());
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let at = |field: &str, reason| (field.to_owned(), reason);
        for no_object in ["", "[]", "null", "{", "\u{fffd}"] {
            assert_eq!(wrong(no_object), [at("body", MALFORMED)]);
        }
        let all = [
            at("tracking_number", REQUIRED),
            at("status", REQUIRED),
            at("occurred_at", REQUIRED),
        ];
        assert_eq!(wrong("{}"), all);
        let body = r#"{"tracking_number": 7, "status": "LOST_IN_SPACE", "occurred_at": "yesterday",
                       "description": "a\u0000b"}"#;
        let all = [
            at("tracking_number", MALFORMED),
            at("description", MALFORMED),
            at("status", MALFORMED),
            at("occurred_at", MALFORMED),
        ];
        assert_eq!(wrong(body), all);
        let later = (now() + Duration::days(2)).format(&Rfc3339).unwrap();
        let long = "x".repeat(201);
        let body = format!(
            r#"{{"tracking_number": "OM1", "status": "LOST", "occurred_at": "{later}", "description": "{long}"}}"#
        );
        let violations = read(&long, body.as_bytes(), now()).unwrap_err();
        let all: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(all, ["webhook-id", "description", "occurred_at"]);
    }
}
