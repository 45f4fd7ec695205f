//! What every RPC reads from its request.

use std::sync::Arc;

use oms_core::{Access, Principal, Violations};
use oms_proto::common::v1::ErrorReason;
use prost::Message;
use sha2::{Digest, Sha256};
use tonic::Request;
use uuid::Uuid;

use crate::auth::CallAccess;
use crate::error::{ApiError, reason_name};

/// Items of a page when the request names no size.
pub const PAGE_SIZE_DEFAULT: i64 = 50;

/// Most items of a page; larger sizes are cut to it.
pub const PAGE_SIZE_MAX: i64 = 500;

/// Who calls. The server lets nobody in without a principal, so there always is one.
///
/// # Panics
/// When the request did not come through [`crate::server::Server`].
pub fn principal<T>(request: &Request<T>) -> Principal {
    of_call(request).principal.clone()
}

/// Who calls, and what it may do and see: handlers of whatever belongs to a location or a channel decide by it.
///
/// # Panics
/// When the request did not come through [`crate::server::Server`].
pub fn access<T>(request: &Request<T>) -> Access {
    Access::clone(of_call(request))
}

fn of_call<T>(request: &Request<T>) -> &Arc<Access> {
    let found = request.extensions().get::<CallAccess>();
    #[expect(
        clippy::expect_used,
        reason = "the server's stack puts it there before any handler runs"
    )]
    let CallAccess(access) = found.expect("handlers run behind the server's stack");
    access
}

/// The request id of a mutating call: a UUID, required. What is wrong goes to `violations`.
pub fn request_id(text: &str, violations: &mut Violations) -> Option<Uuid> {
    if text.is_empty() {
        let reason = reason_name(ErrorReason::FieldRequired);
        violations.push("request_id", reason, "must not be empty");
        return None;
    }
    // One text per id, so that the id in logs is the one that was sent.
    let parsed = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
    if parsed.is_none() {
        let reason = reason_name(ErrorReason::FieldMalformed);
        violations.push(
            "request_id",
            reason,
            "must be a UUID in its hyphenated form",
        );
    }
    parsed
}

/// [`request_id`] for requests that need no other check.
pub fn parse_request_id(text: &str) -> Result<Uuid, ApiError> {
    let mut violations = Violations::default();
    match request_id(text, &mut violations) {
        Some(id) => Ok(id),
        None => Err(violations.into()),
    }
}

/// SHA-256 of a message: equal messages have equal fingerprints. Clear `request_id` and whatever
/// else may differ between a call and its repeat (`wait_for`) before.
pub fn fingerprint(message: &impl Message) -> [u8; 32] {
    Sha256::digest(message.encode_to_vec()).into()
}

/// Items of a page for the `page_size` of a request: 0 means the default, more than the maximum is
/// cut to it, a negative number is a violation.
pub fn page_size(size: i32, violations: &mut Violations) -> i64 {
    let reason = reason_name(ErrorReason::FieldOutOfRange);
    violations.check(size >= 0, "page_size", reason, "must not be negative");
    match i64::from(size) {
        1.. => i64::from(size).min(PAGE_SIZE_MAX),
        _ => PAGE_SIZE_DEFAULT,
    }
}

/// The etag of an aggregate with this version.
pub fn etag(version: i64) -> String {
    version.to_string()
}

/// The version that an etag names: `None` when it is empty, which means that the caller does not
/// check. What is wrong goes to `violations`.
pub fn parse_etag(text: &str, violations: &mut Violations) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    let version = text
        .parse::<i64>()
        .ok()
        .filter(|version| etag(*version) == text);
    if version.is_none() {
        let reason = reason_name(ErrorReason::FieldMalformed);
        violations.push("etag", reason, "must be the etag of an earlier answer");
    }
    version
}

/// ABORTED / ETAG_MISMATCH unless the caller's etag, if there is one, names the present version.
pub fn check_etag(expected: Option<i64>, present: i64) -> Result<(), ApiError> {
    match expected {
        Some(version) if version != present => Err(ApiError::etag_mismatch(present)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use oms_proto::events::v1::SubscribeRequest;

    use super::*;

    #[test]
    fn request_ids_are_required_and_have_one_form() {
        let id = "0190f7b4-7f2a-7c3e-8a51-1d2e3f405162";
        assert!(parse_request_id(id).is_ok());
        let reason = |text: &str| parse_request_id(text).unwrap_err().reason();
        assert_eq!(reason(""), ErrorReason::FieldRequired);
        assert_eq!(reason("x"), ErrorReason::FieldMalformed);
        assert_eq!(reason(&id.replace('-', "")), ErrorReason::FieldMalformed);
    }

    #[test]
    fn page_sizes_are_clamped() {
        let mut violations = Violations::default();
        assert_eq!(page_size(0, &mut violations), 50);
        assert_eq!(page_size(7, &mut violations), 7);
        assert_eq!(page_size(i32::MAX, &mut violations), 500);
        assert!(violations.is_empty());
        page_size(-1, &mut violations);
        assert_eq!(violations.len(), 1);
    }

    #[test]
    fn etags() {
        let mut violations = Violations::default();
        assert_eq!(parse_etag("", &mut violations), None);
        assert_eq!(parse_etag(&etag(3), &mut violations), Some(3));
        assert!(violations.is_empty());
        for wrong in ["x", "03", "+3", " 3", "3.0"] {
            assert_eq!(parse_etag(wrong, &mut violations), None, "{wrong:?}");
        }
        assert_eq!(violations.len(), 5);
        assert!(check_etag(None, 4).is_ok() && check_etag(Some(4), 4).is_ok());
        let stale = check_etag(Some(3), 4).unwrap_err();
        assert_eq!(stale.reason(), ErrorReason::EtagMismatch);
    }

    #[test]
    fn fingerprints_differ_with_the_message() {
        let one = SubscribeRequest {
            consumer: "a".to_owned(),
            ..SubscribeRequest::default()
        };
        let two = SubscribeRequest {
            after_pos: 1,
            ..one.clone()
        };
        assert_eq!(fingerprint(&one), fingerprint(&one.clone()));
        assert_ne!(fingerprint(&one), fingerprint(&two));
    }
}
