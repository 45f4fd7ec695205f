//! Secrets that sign for endpoints: made here, kept sealed, shown once.
//!
//! [`Secret::seal`] and [`Secret::open`] are the only way into and out of the table. The seal is plain so far: whoever reads
//! the table reads the secrets, as with every credential in this database. The first byte says how the rest is sealed, so
//! that encryption can be put in here and old rows stay readable.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a secret; the specification wants 24 to 64.
const LEN: usize = 32;
/// In front of what is not encrypted.
const PLAIN: u8 = 0;

/// A secret of an endpoint. It is never shown by Debug.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret([u8; LEN]);

impl Secret {
    /// A new secret, from the randomness of the system.
    pub(crate) fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; LEN];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// As the table keeps it.
    pub(crate) fn seal(&self) -> Vec<u8> {
        let mut sealed = vec![PLAIN];
        sealed.extend(self.0);
        sealed
    }

    /// From what the table keeps; `None` when it is sealed in a way that is not known.
    pub(crate) fn open(sealed: &[u8]) -> Option<Self> {
        let (&PLAIN, bytes) = sealed.split_first()? else {
            return None;
        };
        Some(Self(bytes.try_into().ok()?))
    }

    /// The text that its receiver is given, once.
    pub(crate) fn reveal(&self) -> String {
        format!("whsec_{}", BASE64_STANDARD.encode(self.0))
    }

    /// The signature of a message: `v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`.
    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        // Any length of key will do for HMAC.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body.as_bytes());
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The value of `webhook-signature`: a signature per secret.
pub(super) fn signatures(secrets: &[Secret], id: &str, timestamp: i64, body: &str) -> String {
    let all: Vec<String> = secrets
        .iter()
        .map(|secret| secret.sign(id, timestamp, body))
        .collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_can_be_opened_and_is_not_shown() {
        let secret = Secret::generate().unwrap();
        assert_eq!(Secret::open(&secret.seal()), Some(secret.clone()));
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_ne!(secret, Secret::generate().unwrap());
        for other in [&[][..], &[1; 33], &[0; 32]] {
            assert_eq!(Secret::open(other), None);
        }
    }

    #[test]
    fn another_maker_signs_the_same_with_every_secret() {
        let (old, new) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        let at = 1_700_000_000;
        let both = signatures(&[new.clone(), old.clone()], "msg_1", at, "{}");
        let theirs = [&new, &old].map(|secret| {
            let theirs = standardwebhooks::Webhook::new(&secret.reveal()).unwrap();
            theirs.sign("msg_1", at, b"{}").unwrap()
        });
        assert_eq!(both, theirs.join(" "));
    }
}
