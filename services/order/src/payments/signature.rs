//! Signatures of webhooks, made as Stripe makes them: `t=<seconds since 1970>,v1=<hex>`, where the hex is the
//! HMAC-SHA256 of `<t>.<body>` under the shared secret. Several `v1` may stand there while a secret is replaced.

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use sha2::Sha256;
use time::{Duration, OffsetDateTime};

use super::{Refusal, Secret};

/// Longest time between signing and checking, in either direction.
const TOLERANCE: Duration = Duration::minutes(5);

/// Checks the signature that stands in the header with this name.
pub(super) fn check(
    (headers, name): (&HeaderMap, &str),
    body: &[u8],
    secret: &Secret,
    now: OffsetDateTime,
) -> Result<(), Refusal> {
    let secret = secret.reveal().ok_or(Refusal::NotConfigured)?;
    let header = headers.get(name).map(HeaderValue::to_str);
    let header = header
        .transpose()
        .map_err(|_| Refusal::SignatureMalformed)?;
    check_value(header, body, secret, now)
}

fn check_value(
    header: Option<&str>,
    body: &[u8],
    secret: &str,
    now: OffsetDateTime,
) -> Result<(), Refusal> {
    let header = header.ok_or(Refusal::SignatureMissing)?;
    let values = |wanted: &'static str| {
        let pairs = header.split(',').filter_map(|part| part.split_once('='));
        pairs.filter_map(move |(key, value)| (key.trim() == wanted).then_some(value.trim()))
    };
    let stamp = values("t").next().ok_or(Refusal::SignatureMalformed)?;
    let signed_at = stamp.parse().map_err(|_| Refusal::SignatureMalformed)?;
    let signed_at = OffsetDateTime::from_unix_timestamp(signed_at);
    let signed_at = signed_at.map_err(|_| Refusal::SignatureMalformed)?;
    let given: Vec<Vec<u8>> = values("v1").filter_map(|v| hex::decode(v).ok()).collect();
    if given.is_empty() {
        return Err(Refusal::SignatureMalformed);
    }
    // Any length of key will do for HMAC.
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    let mut mac = mac.map_err(|_| Refusal::SignatureInvalid)?;
    mac.update(stamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    // In constant time, so that nobody can feel their way to a signature.
    let is_good = |given: &Vec<u8>| mac.clone().verify_slice(given).is_ok();
    if !given.iter().any(is_good) {
        return Err(Refusal::SignatureInvalid);
    }
    // After the signature: only the provider learns how its clock stands to ours.
    if (now - signed_at).abs() > TOLERANCE {
        return Err(Refusal::SignatureExpired);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1"}"#;
    /// `printf '1700000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec`
    const SIGNED: &str = "e7e846cdb96220c3674ade89e534304fc91f6f15064facee1e7a7096f5f57f62";

    fn checked(header: Option<&str>, body: &[u8], secret: &str, at: i64) -> Result<(), Refusal> {
        let now = OffsetDateTime::from_unix_timestamp(at).unwrap();
        check_value(header, body, secret, now)
    }

    #[test]
    fn what_the_provider_signed_is_good_for_five_minutes() {
        let header = format!("t=1700000000,v1={SIGNED}");
        let at = |at| checked(Some(&header), BODY, "whsec", at);
        assert_eq!(at(1_700_000_000), Ok(()));
        assert_eq!(at(1_700_000_300), Ok(()));
        assert_eq!(at(1_699_999_700), Ok(()));
        assert_eq!(at(1_700_000_301), Err(Refusal::SignatureExpired));
        assert_eq!(at(1_699_999_699), Err(Refusal::SignatureExpired));
        let rotated = format!("t=1700000000,v1={},v0=x,v1={SIGNED}", "00".repeat(32));
        assert_eq!(
            checked(Some(&rotated), BODY, "whsec", 1_700_000_000),
            Ok(())
        );
    }

    #[test]
    fn nothing_else_is() {
        let now = 1_700_000_000;
        let header = format!("t=1700000000,v1={SIGNED}");
        let invalid = Err(Refusal::SignatureInvalid);
        assert_eq!(checked(Some(&header), b"{}", "whsec", now), invalid);
        assert_eq!(checked(Some(&header), BODY, "other", now), invalid);
        let later = format!("t=1700000001,v1={SIGNED}");
        assert_eq!(checked(Some(&later), BODY, "whsec", now), invalid);
        let short = format!("t=1700000000,v1={}", &SIGNED[..32]);
        assert_eq!(checked(Some(&short), BODY, "whsec", now), invalid);
        let missing = Err(Refusal::SignatureMissing);
        assert_eq!(checked(None, BODY, "whsec", now), missing);
        for malformed in ["", "t=1700000000", "v1=00", "t=x,v1=00", "t=1,v1=zz"] {
            let refused = checked(Some(malformed), BODY, "whsec", now);
            assert_eq!(refused, Err(Refusal::SignatureMalformed), "{malformed}");
        }
    }
}
