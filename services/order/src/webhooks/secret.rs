//! Secrets that sign for endpoints: made here, kept sealed, shown once.
//!
//! [`Secret::seal`] and [`Secret::open`] are the only way into and out of the table. Each secret has a key of its own, which
//! the newest master key wraps; the secret is sealed for its endpoint, so that it opens in no other's row. Rows of before
//! are plain, and sealed in the background ([`super::keeper`]).

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use oms_seal::{MasterKeys, Plain, SealError};
use sha2::Sha256;
use uuid::Uuid;

use crate::store::webhook_secrets::StoredSecret;

/// Bytes of a secret; the specification wants 24 to 64.
const LEN: usize = 32;
/// In front of what is not sealed.
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

    /// As the table keeps it, for this endpoint.
    ///
    /// # Errors
    /// [`SealError::Failed`] when the system has no randomness.
    pub(crate) fn seal(
        &self,
        masters: &MasterKeys,
        endpoint_id: Uuid,
        secret_id: Uuid,
    ) -> Result<StoredSecret, SealError> {
        let wrapped = masters.make(secret_id)?;
        let key = masters.unwrap_key(secret_id, &wrapped)?;
        Ok(StoredSecret {
            secret_id,
            endpoint_id,
            key: Some(wrapped),
            sealed: key.seal(&place(endpoint_id), Plain::new(self.0.to_vec()))?,
        })
    }

    /// From what the table keeps.
    ///
    /// # Errors
    /// [`SealError::MasterKeyUnknown`], or [`SealError::Broken`] when it was not sealed for this endpoint.
    pub(crate) fn open(masters: &MasterKeys, stored: &StoredSecret) -> Result<Self, SealError> {
        let bytes = match &stored.key {
            Some(wrapped) => masters
                .unwrap_key(stored.secret_id, wrapped)?
                .open(&place(stored.endpoint_id), &stored.sealed)?,
            None => match stored.sealed.split_first() {
                Some((&PLAIN, bytes)) => Plain::new(bytes.to_vec()),
                _ => return Err(SealError::Broken),
            },
        };
        let bytes = bytes.as_slice().try_into();
        bytes.map(Self).map_err(|_| SealError::Broken)
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

fn place(endpoint_id: Uuid) -> String {
    format!("webhook_endpoints/{endpoint_id}")
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
    fn a_secret_opens_for_its_endpoint_only_and_is_not_shown() {
        let masters = MasterKeys::development();
        let secret = Secret::generate().unwrap();
        let (endpoint_id, secret_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let stored = secret.seal(&masters, endpoint_id, secret_id).unwrap();
        assert_eq!(Secret::open(&masters, &stored), Ok(secret.clone()));
        let shown = format!("{secret:?} {stored:?}");
        let bytes = format!("{:?}", &secret.0[..8]);
        assert!(shown.starts_with("[redacted]") && !shown.contains(bytes.trim_matches(['[', ']'])));
        let mut of_another = stored.clone();
        of_another.endpoint_id = Uuid::from_u128(3);
        let mut under_another = stored.clone();
        under_another.secret_id = Uuid::from_u128(3);
        let mut changed = stored.clone();
        changed.sealed[20] ^= 1;
        for broken in [of_another, under_another, changed] {
            assert_eq!(Secret::open(&masters, &broken), Err(SealError::Broken));
        }
        let other = MasterKeys::parse("k9:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").unwrap();
        let unknown = SealError::MasterKeyUnknown("insecure-dev".to_owned());
        assert_eq!(Secret::open(&other, &stored), Err(unknown));
    }

    #[test]
    fn a_secret_of_before_is_read_as_it_is() {
        let masters = MasterKeys::development();
        let mut plain = StoredSecret {
            secret_id: Uuid::nil(),
            endpoint_id: Uuid::nil(),
            key: None,
            sealed: [vec![PLAIN], vec![7; LEN]].concat(),
        };
        assert_eq!(Secret::open(&masters, &plain), Ok(Secret([7; LEN])));
        for other in [&[][..], &[1; 33], &[0; 32]] {
            plain.sealed = other.to_vec();
            assert_eq!(Secret::open(&masters, &plain), Err(SealError::Broken));
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
