//! The public keys of an issuer of tokens.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use metrics::counter;
use oms_core::Clock;
use serde::Deserialize;
use time::{Duration, OffsetDateTime};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};
use tokio::task::JoinHandle;

use super::fetch::Fetcher;
use super::watched::Watched;
use crate::names;

/// Age at which keys are fetched again, while the old ones are used.
const FRESH: Duration = Duration::minutes(5);
/// Age to which keys are used when the issuer does not answer.
const STALE_MAX: Duration = Duration::hours(1);
/// Time between two fetches, whoever names whatever unknown key.
const FETCH_PAUSE: Duration = Duration::seconds(10);
/// Callers that wait for one fetch. Whoever invents keys while the issuer is slow keeps so many calls waiting, and no more.
const WAITING_MAX: usize = 32;

/// A key that signs tokens.
pub(crate) struct Key {
    pub(crate) decoding: DecodingKey,
    /// The only algorithm that the issuer uses it with, when it says so.
    pub(crate) algorithm: Option<Algorithm>,
}

/// Keys by their `kid`.
pub(crate) type KeySet = HashMap<String, Arc<Key>>;

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// The issuer does not have it.
    Unknown,
    /// The issuer does not answer, or too many wait for its answer already, so nobody knows.
    Unreachable,
}

/// Where keys come from.
pub(crate) enum KeySource {
    File(Arc<Watched<KeySet>>),
    Url(Arc<FetchedKeys>),
}

impl KeySource {
    pub(crate) async fn key(&self, kid: &str) -> Result<Arc<Key>, NoKey> {
        match self {
            Self::File(keys) => keys.get().get(kid).cloned().ok_or(NoKey::Unknown),
            Self::Url(keys) => keys.key(kid).await,
        }
    }
}

/// Reads a JSON Web Key Set. Keys that cannot verify a signature are left out: without an id, for encryption,
/// of unknown kinds, and above all shared secrets.
pub(crate) fn parse(json: &[u8]) -> Result<KeySet, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set =
        serde_json::from_slice(json).map_err(|error| format!("no JSON Web Key Set: {error}"))?;
    let keys = set.keys.into_iter().filter_map(|value| {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let is_public = matches!(
            jwk.algorithm,
            AlgorithmParameters::RSA(_)
                | AlgorithmParameters::EllipticCurve(_)
                | AlgorithmParameters::OctetKeyPair(_)
        );
        let signs = !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption));
        let algorithm = match jwk.common.key_algorithm {
            Some(named) => Some(named.to_string().parse().ok()?),
            None => None,
        };
        let decoding = (is_public && signs).then(|| DecodingKey::from_jwk(&jwk).ok())??;
        Some((
            jwk.common.key_id?,
            Arc::new(Key {
                decoding,
                algorithm,
            }),
        ))
    });
    Ok(keys.collect())
}

/// Keys that are fetched, and kept.
pub(crate) struct FetchedKeys {
    url: String,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    kept: RwLock<Kept>,
    /// When it was last tried. Held while fetching, so that there is one fetch at a time.
    tried_at: TriedAt,
    /// Places of those that wait for a fetch under way.
    waiting: Semaphore,
}

type TriedAt = Arc<Mutex<Option<OffsetDateTime>>>;

#[derive(Default, Clone)]
struct Kept {
    keys: Arc<KeySet>,
    fetched_at: Option<OffsetDateTime>,
}

impl FetchedKeys {
    pub(crate) fn new(url: String, fetcher: Fetcher, clock: Arc<dyn Clock>) -> Self {
        Self {
            url,
            fetcher,
            clock,
            kept: RwLock::default(),
            tried_at: TriedAt::default(),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    async fn key(self: &Arc<Self>, kid: &str) -> Result<Arc<Key>, NoKey> {
        let (keys, age) = self.look();
        match keys.get(kid) {
            Some(key) if age < FRESH => return Ok(Arc::clone(key)),
            Some(key) if age < STALE_MAX => {
                // Nobody waits for it.
                if let Ok(free) = Arc::clone(&self.tried_at).try_lock_owned() {
                    drop(self.begin(free));
                }
                return Ok(Arc::clone(key));
            }
            _ => {}
        }
        self.fetch().await?;
        let (keys, age) = self.look();
        if age >= STALE_MAX {
            return Err(NoKey::Unreachable);
        }
        keys.get(kid).cloned().ok_or(NoKey::Unknown)
    }

    /// The keys, and how long ago they were fetched.
    fn look(&self) -> (Arc<KeySet>, Duration) {
        let kept = self
            .kept
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let age = kept
            .fetched_at
            .map_or(Duration::MAX, |at| self.clock.now() - at);
        (kept.keys, age)
    }

    /// Fetches the keys, unless that was tried just now. Who finds a fetch under way waits for its end.
    ///
    /// # Errors
    /// [`NoKey::Unreachable`] when too many wait already.
    async fn fetch(self: &Arc<Self>) -> Result<(), NoKey> {
        let free = Arc::clone(&self.tried_at).try_lock_owned();
        let tried_at = if let Ok(free) = free {
            free
        } else {
            let place = self.waiting.try_acquire();
            let _place = place.map_err(|_| NoKey::Unreachable)?;
            Arc::clone(&self.tried_at).lock_owned().await
        };
        if let Some(fetching) = self.begin(tried_at) {
            // An error means that the process ends.
            let _ = fetching.await;
        }
        Ok(())
    }

    /// Begins a fetch, unless one was tried just now. In a task of its own: a caller that goes away does not end it, or else
    /// whoever calls and goes could keep the keys from being fetched.
    fn begin(
        self: &Arc<Self>,
        tried_at: OwnedMutexGuard<Option<OffsetDateTime>>,
    ) -> Option<JoinHandle<()>> {
        let now = self.clock.now();
        if tried_at.is_some_and(|at| now - at < FETCH_PAUSE) {
            return None;
        }
        let this = Arc::clone(self);
        Some(tokio::spawn(async move {
            this.fetch_now(tried_at, now).await;
        }))
    }

    async fn fetch_now(
        &self,
        mut tried_at: OwnedMutexGuard<Option<OffsetDateTime>>,
        now: OffsetDateTime,
    ) {
        *tried_at = Some(now);
        let fetched = self.fetcher.get(&self.url).await;
        match fetched.and_then(|json| parse(&json)) {
            Ok(keys) => {
                let keys = Arc::new(keys);
                let fetched_at = Some(now);
                *self.kept.write().unwrap_or_else(PoisonError::into_inner) =
                    Kept { keys, fetched_at };
                counter!(names::JWKS_FETCHES, "outcome" => "taken").increment(1);
            }
            Err(error) => {
                tracing::warn!(
                    url = self.url,
                    error,
                    "the keys of the issuer cannot be fetched"
                );
                counter!(names::JWKS_FETCHES, "outcome" => "failed").increment(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_verify_signatures_are_taken() {
        let set = r#"{"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "good", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            {"kty": "OKP", "crv": "Ed25519", "kid": "enc", "use": "enc", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
            {"kty": "XYZ", "kid": "new"},
            {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
            7
        ]}"#;
        let keys = parse(set.as_bytes()).unwrap();
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["good"]);
        assert!(parse(b"{}").is_err() && parse(b"<html>").is_err());
    }
}
