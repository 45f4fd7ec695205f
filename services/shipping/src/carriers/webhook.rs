//! What carriers tell by themselves: who signed it, after [Standard Webhooks](https://www.standardwebhooks.com).

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use oms_core::{Redacted, Violations};
use serde::Deserialize;
use sha2::Sha256;
use time::{Duration, OffsetDateTime};

use crate::domain::tracking::TrackingStatus;

/// Longest time between signing and checking, in either direction.
const TOLERANCE: Duration = Duration::minutes(5);
/// In front of a secret.
const PREFIX: &str = "whsec_";
/// Bytes that a secret may have, as the specification says.
const SECRET_LEN: std::ops::RangeInclusive<usize> = 24..=64;

/// What a carrier tells about a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// The carrier's id of the event: the same whenever it is delivered again.
    pub(crate) event_id: String,
    /// Tracking number.
    pub(crate) tracking_number: String,
    /// Status it reports.
    pub(crate) status: TrackingStatus,
    /// What the carrier wrote.
    pub(crate) description: String,
    /// By the carrier's clock.
    pub(crate) occurred_at: OffsetDateTime,
}

/// Why a webhook tells nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Untold {
    /// The carrier did not sign it, or not lately. The text is for our log and nobody else.
    #[error("{0}")]
    Unsigned(&'static str),
    /// The carrier signed something that is no event of it.
    #[error("{0}")]
    Invalid(#[from] Violations),
}

/// Where the secrets of a carrier's webhooks are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// A file with the secrets.
    pub webhook_secrets_file: String,
    /// The secrets themselves, instead of a file. With neither, webhooks are refused.
    pub webhook_secrets: Redacted<String>,
}

impl WebhookConfig {
    /// Checks what the types cannot say; the text names the key below `carriers.table_rate`.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.webhook_secrets_file.is_empty() && !self.webhook_secrets.reveal().is_empty() {
            return Err("webhook_secrets: not besides webhook_secrets_file".to_owned());
        }
        // A file is read when the service starts: whoever migrates does not need it.
        let given = WebhookSecrets::parse(self.webhook_secrets.reveal());
        given
            .map(|_| ())
            .map_err(|error| format!("webhook_secrets: {error}"))
    }

    /// The secrets.
    ///
    /// # Errors
    /// The text names the key of the configuration and says what is wrong.
    pub(crate) fn secrets(&self) -> Result<WebhookSecrets, String> {
        if self.webhook_secrets_file.is_empty() {
            let given = WebhookSecrets::parse(self.webhook_secrets.reveal());
            return given.map_err(|error| format!("webhook_secrets: {error}"));
        }
        let path = Path::new(&self.webhook_secrets_file);
        let wrong = |what: String| format!("webhook_secrets_file: {}: {what}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let secrets = WebhookSecrets::parse(&text).map_err(wrong)?;
        if secrets.0.is_empty() {
            return Err(wrong("there is no secret".to_owned()));
        }
        Ok(secrets)
    }
}

/// The secrets that a carrier may sign with: one, or more while it is replaced.
#[derive(Clone)]
pub(crate) struct WebhookSecrets(Vec<Hmac<Sha256>>);

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} redacted]", self.0.len())
    }
}

impl WebhookSecrets {
    /// Reads `whsec_<base64>` apart by white space. Lines that begin with `#` are skipped; an empty text has no secrets.
    ///
    /// # Errors
    /// Says which one is wrong, counted from 1, and never what it is.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut secrets = Vec::new();
        for (number, one) in (1..).zip(lines.flat_map(str::split_whitespace)) {
            let secret = one
                .strip_prefix(PREFIX)
                .and_then(|rest| BASE64_STANDARD.decode(rest).ok())
                .filter(|bytes| SECRET_LEN.contains(&bytes.len()))
                // Any length of key will do for HMAC.
                .and_then(|bytes| Hmac::new_from_slice(&bytes).ok());
            let secret = secret.ok_or_else(|| {
                format!("secret {number}: must be {PREFIX} and 24 to 64 bytes in base64")
            })?;
            secrets.push(secret);
        }
        Ok(Self(secrets))
    }

    /// Checks who signed it and when; answers the message's id.
    pub(crate) fn check<'a>(
        &self,
        headers: &'a HeaderMap,
        body: &[u8],
        now: OffsetDateTime,
    ) -> Result<&'a str, Untold> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let missing = Untold::Unsigned("a header of the signature is missing");
        let (Some(id), Some(stamp), Some(signatures)) = (
            header("webhook-id"),
            header("webhook-timestamp"),
            header("webhook-signature"),
        ) else {
            return Err(missing);
        };
        // A dot would let parts of the signed text change places.
        if id.is_empty() || id.contains('.') {
            return Err(Untold::Unsigned("the id is empty or has a dot"));
        }
        let signed_at = stamp.parse().ok();
        let signed_at = signed_at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        let signed_at = signed_at.ok_or(Untold::Unsigned("the timestamp is no time"))?;
        if (now - signed_at).abs() > TOLERANCE {
            return Err(Untold::Unsigned(
                "it was signed too long ago, or in the future",
            ));
        }
        let given: Vec<Vec<u8>> = signatures
            .split(' ')
            .filter_map(|one| BASE64_STANDARD.decode(one.strip_prefix("v1,")?).ok())
            .collect();
        let is_signed = self.0.iter().any(|secret| {
            let mut mac = secret.clone();
            mac.update(format!("{id}.{stamp}.").as_bytes());
            mac.update(body);
            // In constant time, so that nobody can feel their way to a signature.
            let is_good = |given: &Vec<u8>| mac.clone().verify_slice(given).is_ok();
            given.iter().any(is_good)
        });
        if is_signed {
            Ok(id)
        } else {
            Err(Untold::Unsigned("no signature fits"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "whsec_b2xkIG9sZCBvbGQgb2xkIG9sZCBvbGQgb2xkIG9sZA==";
    const NEW: &str = "whsec_bmV3IG5ldyBuZXcgbmV3IG5ldyBuZXcgbmV3IG5ldw==";
    const BODY: &[u8] = b"{}";
    const AT: i64 = 1_700_000_000;

    /// As another maker's library signs.
    fn signed(secrets: &[&str], id: &str, at: i64, body: &[u8]) -> HeaderMap {
        let all = secrets.iter().map(|secret| {
            let theirs = standardwebhooks::Webhook::new(secret).unwrap();
            theirs.sign(id, at, body).unwrap()
        });
        let all: Vec<String> = all.collect();
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", id.parse().unwrap());
        headers.insert("webhook-timestamp", at.into());
        headers.insert("webhook-signature", all.join(" ").parse().unwrap());
        headers
    }

    fn checked(secrets: &str, headers: &HeaderMap, body: &[u8], at: i64) -> Result<String, Untold> {
        let now = OffsetDateTime::from_unix_timestamp(at).unwrap();
        let secrets = WebhookSecrets::parse(secrets).unwrap();
        secrets.check(headers, body, now).map(str::to_owned)
    }

    #[test]
    fn what_the_carrier_signed_is_good_for_five_minutes() {
        let headers = signed(&[OLD], "evt_1", AT, BODY);
        for at in [AT, AT + 300, AT - 300] {
            assert_eq!(checked(OLD, &headers, BODY, at).unwrap(), "evt_1");
        }
        for at in [AT + 301, AT - 301] {
            checked(OLD, &headers, BODY, at).unwrap_err();
        }
    }

    #[test]
    fn while_a_secret_is_replaced_either_is_good_on_either_side() {
        let both = format!("# the carrier's\n{NEW}\n{OLD}\n");
        for signer in [&[OLD][..], &[NEW], &[NEW, OLD]] {
            let headers = signed(signer, "evt_1", AT, BODY);
            assert_eq!(checked(&both, &headers, BODY, AT).unwrap(), "evt_1");
        }
        let headers = signed(&[NEW, OLD], "evt_1", AT, BODY);
        assert_eq!(checked(OLD, &headers, BODY, AT).unwrap(), "evt_1");
    }

    #[test]
    fn nothing_else_is() {
        let good = signed(&[OLD], "evt_1", AT, BODY);
        checked(NEW, &good, BODY, AT).unwrap_err();
        checked("", &good, BODY, AT).unwrap_err();
        checked(OLD, &good, b"[]", AT).unwrap_err();
        checked(OLD, &signed(&[OLD], "evt.1", AT, BODY), BODY, AT).unwrap_err();
        for (name, other) in [
            ("webhook-id", "evt_2"),
            ("webhook-timestamp", "1700000001"),
            ("webhook-timestamp", "soon"),
            ("webhook-signature", "v1,"),
            ("webhook-signature", "v1,AAAA v2,AAAA x"),
        ] {
            let mut headers = good.clone();
            headers.insert(name, other.parse().unwrap());
            checked(OLD, &headers, BODY, AT).unwrap_err();
            headers.remove(name);
            checked(OLD, &headers, BODY, AT).unwrap_err();
        }
    }

    #[test]
    fn secrets_that_cannot_be_used_are_named_and_not_shown() {
        for wrong in ["b2xkIG9sZCBvbGQ=", "whsec_b2xk", "whsec_!"] {
            let error = WebhookSecrets::parse(&format!("{OLD} {wrong}")).unwrap_err();
            assert!(error.starts_with("secret 2: ") && !error.contains(wrong));
        }
        let secrets = WebhookSecrets::parse(OLD).unwrap();
        assert_eq!(format!("{secrets:?}"), "[1 redacted]");
    }
}
