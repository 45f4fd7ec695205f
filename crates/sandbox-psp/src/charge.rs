//! What is asked of the provider, what it books, and what decides its answer.

use std::str::FromStr;

use oms_core::Currency;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Longest idempotency key, token or reference, in bytes.
const TEXT_MAX: usize = 255;
/// The token whose authorization loses its answer once.
pub(crate) const TOKEN_TIMEOUT: &str = "tok_timeout";

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    /// Set money aside.
    Authorize,
    /// Take money that was set aside, all or a part.
    Capture,
    /// Give up what is left of an authorization.
    Void,
    /// Pay captured money back, all or a part.
    Refund,
}

impl Operation {
    /// The kind of charge that it makes.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Authorize => "AUTHORIZATION",
            Self::Capture => "CAPTURE",
            Self::Void => "VOID",
            Self::Refund => "REFUND",
        }
    }

    /// The kind of charge that it hangs on.
    pub(crate) fn parent_kind(self) -> &'static str {
        match self {
            Self::Refund => Self::Capture.kind(),
            _ => Self::Authorize.kind(),
        }
    }

    /// The same key gives the same reference.
    pub(crate) fn reference(self, idempotency_key: &str) -> String {
        let prefix = match self {
            Self::Authorize => "sbx_auth",
            Self::Capture => "sbx_cap",
            Self::Void => "sbx_void",
            Self::Refund => "sbx_ref",
        };
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, idempotency_key.as_bytes());
        format!("{prefix}_{}", id.simple())
    }
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// Minor units.
    pub(crate) amount: i64,
    /// ISO 4217 code.
    pub(crate) currency: String,
    /// What the customer pays with; of an authorization.
    #[serde(default)]
    pub(crate) token: String,
    /// Reference of the authorization (capture, void) or capture (refund).
    #[serde(default)]
    pub(crate) parent_reference: String,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Violation {
    /// Name of the field, or of the header.
    pub(crate) field: &'static str,
    /// Such as `REQUIRED`.
    pub(crate) reason: &'static str,
}

impl Asked {
    /// Everything that is wrong with it.
    pub(crate) fn violations(&self, operation: Operation, key: &str) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut text = |field, value: &str, is_wanted: bool| {
            let reason = match (value.is_empty(), is_wanted) {
                (true, true) => "REQUIRED",
                (false, false) => "NOT_ALLOWED",
                _ if value.len() > TEXT_MAX => "TOO_LONG",
                _ => return,
            };
            found.push(Violation { field, reason });
        };
        let authorizes = operation == Operation::Authorize;
        text("Idempotency-Key", key, true);
        text("token", &self.token, authorizes);
        text("parent_reference", &self.parent_reference, !authorizes);
        if self.amount < 1 {
            found.push(Violation {
                field: "amount",
                reason: "OUT_OF_RANGE",
            });
        }
        if Currency::from_str(&self.currency).is_err() {
            found.push(Violation {
                field: "currency",
                reason: "UNKNOWN",
            });
        }
        found
    }
}

/// A row of the ledger: what was done or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Charge {
    /// Key that the caller gave.
    pub(crate) idempotency_key: String,
    /// `AUTHORIZATION`, `CAPTURE`, `VOID` or `REFUND`.
    pub(crate) kind: String,
    /// The provider's reference.
    pub(crate) reference: String,
    /// Reference of the charge it belongs to; empty for an authorization.
    pub(crate) parent_reference: String,
    /// What the customer pays with.
    pub(crate) token: String,
    /// Minor units.
    pub(crate) amount: i64,
    /// ISO 4217 code.
    pub(crate) currency: String,
    /// False when it was declined.
    pub(crate) approved: bool,
    /// Why it was declined; empty otherwise.
    pub(crate) decline_code: String,
    /// When it was booked.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) created_at: OffsetDateTime,
    /// When an approved authorization ends.
    #[serde(with = "time::serde::rfc3339::option")]
    pub(crate) expires_at: Option<OffsetDateTime>,
}

impl Charge {
    /// True when this is what the request asks for.
    pub(crate) fn is_of(&self, operation: Operation, asked: &Asked) -> bool {
        self.kind == operation.kind()
            && self.amount == asked.amount
            && self.currency == asked.currency
            && self.token == asked.token
            && self.parent_reference == asked.parent_reference
    }
}

/// Why an authorization with this token is declined.
pub(crate) fn refuse_authorization(token: &str) -> Option<&'static str> {
    match token {
        "tok_decline" => Some("card_declined"),
        "tok_insufficient_funds" => Some("insufficient_funds"),
        known if known.starts_with("tok_") => None,
        _ => Some("unknown_token"),
    }
}

/// How long an authorization lasts: a week, or what its token says.
pub(crate) fn lifetime(token: &str) -> Duration {
    let seconds = token.strip_prefix("tok_expires_");
    let seconds = seconds.and_then(|seconds| seconds.parse::<u32>().ok());
    seconds.map_or(Duration::WEEK, |seconds| Duration::seconds(seconds.into()))
}

/// Why what hangs on this charge is declined; `used` is what was taken from it before, in minor units. What has ended
/// can be given up, not captured.
pub(crate) fn refuse_dependent(
    operation: Operation,
    asked: &Asked,
    parent: &Charge,
    used: i64,
    now: OffsetDateTime,
) -> Option<&'static str> {
    if parent.kind != operation.parent_kind() || !parent.approved {
        return Some("wrong_charge");
    }
    if parent.currency != asked.currency {
        return Some("wrong_currency");
    }
    if operation == Operation::Capture && parent.token == "tok_capture_fails" {
        return Some("capture_declined");
    }
    let has_ended = parent.expires_at.is_some_and(|end| end <= now);
    if operation == Operation::Capture && has_ended {
        return Some("authorization_expired");
    }
    (asked.amount > parent.amount - used).then_some("amount_exceeds_charge")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn asked(amount: i64) -> Asked {
        Asked {
            amount,
            currency: "USD".to_owned(),
            token: String::new(),
            parent_reference: "sbx_auth_1".to_owned(),
        }
    }

    fn authorization(token: &str, approved: bool) -> Charge {
        Charge {
            idempotency_key: "k".to_owned(),
            kind: "AUTHORIZATION".to_owned(),
            reference: "sbx_auth_1".to_owned(),
            parent_reference: String::new(),
            token: token.to_owned(),
            amount: 1_000,
            currency: "USD".to_owned(),
            approved,
            decline_code: String::new(),
            created_at: NOW,
            expires_at: None,
        }
    }

    #[test]
    fn a_token_decides_about_its_authorization() {
        assert_eq!(refuse_authorization("tok_approve"), None);
        assert_eq!(refuse_authorization("tok_timeout"), None);
        assert_eq!(refuse_authorization("tok_decline"), Some("card_declined"));
        assert_eq!(
            refuse_authorization("tok_insufficient_funds"),
            Some("insufficient_funds")
        );
        assert_eq!(refuse_authorization("visa"), Some("unknown_token"));
    }

    #[test]
    fn never_more_is_taken_than_was_set_aside() {
        let of = |operation, amount, used| {
            let parent = authorization("tok_approve", true);
            refuse_dependent(operation, &asked(amount), &parent, used, NOW)
        };
        assert_eq!(of(Operation::Capture, 1_000, 0), None);
        assert_eq!(of(Operation::Void, 400, 600), None);
        let too_much = Some("amount_exceeds_charge");
        assert_eq!(of(Operation::Capture, 1_001, 0), too_much);
        assert_eq!(of(Operation::Capture, 1, 1_000), too_much);
        assert_eq!(of(Operation::Void, i64::MAX, 1), too_much);
        assert_eq!(of(Operation::Refund, 1, 0), Some("wrong_charge"));
    }

    #[test]
    fn only_an_approved_charge_in_the_same_currency_is_good_for_more() {
        let refused = |asked: &Asked, parent: &Charge| {
            refuse_dependent(Operation::Capture, asked, parent, 0, NOW)
        };
        let declined = authorization("tok_decline", false);
        assert_eq!(refused(&asked(1), &declined), Some("wrong_charge"));
        let mut euros = asked(1);
        euros.currency = "EUR".to_owned();
        let approved = authorization("tok_approve", true);
        assert_eq!(refused(&euros, &approved), Some("wrong_currency"));
        let fails = authorization("tok_capture_fails", true);
        assert_eq!(refused(&asked(1), &fails), Some("capture_declined"));
    }

    #[test]
    fn what_has_ended_is_given_up_but_not_captured() {
        assert_eq!(lifetime("tok_approve"), Duration::WEEK);
        assert_eq!(lifetime("tok_expires_90"), Duration::seconds(90));
        assert_eq!(lifetime("tok_expires_soon"), Duration::WEEK);
        let mut parent = authorization("tok_expires_90", true);
        parent.expires_at = Some(NOW + lifetime(&parent.token));
        let at = |operation, seconds| {
            let now = NOW + Duration::seconds(seconds);
            refuse_dependent(operation, &asked(1), &parent, 0, now)
        };
        assert_eq!(at(Operation::Capture, 89), None);
        assert_eq!(at(Operation::Capture, 90), Some("authorization_expired"));
        assert_eq!(at(Operation::Void, 90), None);
    }
}
