//! Master keys: they stand outside of the database and wrap the data keys in it.

use std::fmt;

use aws_lc_rs::aead::RandomizedNonceKey;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{DataKey, KEY_LEN, Plain, SealError, key_of, open, seal};

/// Longest id of a master key in characters.
const ID_LEN_MAX: usize = 64;
/// Id and bytes of the key that everybody knows.
const DEVELOPMENT: (&str, &[u8; KEY_LEN]) = ("insecure-dev", b"everybody knows this key of oms!");

/// Master keys, the newest first: it wraps, all of them unwrap.
pub struct MasterKeys {
    keys: Vec<(String, RandomizedNonceKey)>,
}

/// A data key as a row keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Master key under which it is.
    pub master_key_id: String,
    /// Its sealed bytes.
    pub bytes: Vec<u8>,
}

/// Master keys cannot be read. Tells which one, never its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeysError {
    /// There are none.
    #[error("there is no key")]
    Empty,
    /// One is not `id:key`.
    #[error("key {0}: must be ID:KEY, the id of letters, digits, '-', '_' and '.'")]
    Form(usize),
    /// A key is not 32 bytes in base64.
    #[error("key {0}: must be 32 bytes in base64 (openssl rand -base64 32)")]
    Bytes(usize),
    /// Two keys have one id.
    #[error("key {0}: another one has this id")]
    Duplicate(usize),
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|(id, _)| id.as_str()).collect();
        f.debug_struct("MasterKeys").field("ids", &ids).finish()
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappedKey")
            .field("master_key_id", &self.master_key_id)
            .finish_non_exhaustive()
    }
}

impl MasterKeys {
    /// Reads `id:key` apart by white space, the newest first; the key is 32 bytes in base64. Lines that begin with `#`
    /// are skipped.
    ///
    /// # Errors
    /// Names the first key that cannot be used, counted from 1.
    pub fn parse(text: &str) -> Result<Self, MasterKeysError> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut keys: Vec<(String, RandomizedNonceKey)> = Vec::new();
        for (number, one) in (1..).zip(lines.flat_map(str::split_whitespace)) {
            let (id, key) = one.split_once(':').ok_or(MasterKeysError::Form(number))?;
            if !is_id(id) {
                return Err(MasterKeysError::Form(number));
            }
            if keys.iter().any(|(other, _)| other == id) {
                return Err(MasterKeysError::Duplicate(number));
            }
            let bytes = STANDARD.decode(key).map(Zeroizing::new);
            let bytes = bytes.ok().filter(|bytes| bytes.len() == KEY_LEN);
            let bytes = bytes.ok_or(MasterKeysError::Bytes(number))?;
            let key = key_of(&bytes).map_err(|_| MasterKeysError::Bytes(number))?;
            keys.push((id.to_owned(), key));
        }
        if keys.is_empty() {
            return Err(MasterKeysError::Empty);
        }
        Ok(Self { keys })
    }

    /// One key that everybody knows: for development on one machine, where callers prove nothing either.
    pub fn development() -> Self {
        let (id, bytes) = DEVELOPMENT;
        let key = key_of(bytes).ok();
        Self {
            keys: key.map(|key| (id.to_owned(), key)).into_iter().collect(),
        }
    }

    /// Id of the key that wraps now.
    pub fn newest(&self) -> &str {
        self.keys.first().map_or("", |(id, _)| id)
    }

    /// Makes a data key and wraps it.
    ///
    /// # Errors
    /// [`SealError::Failed`] when the system has no randomness.
    pub fn make(&self, key_id: Uuid) -> Result<WrappedKey, SealError> {
        let mut bytes = Plain::new(vec![0; KEY_LEN]);
        rand::fill(&mut bytes).map_err(|_| SealError::Failed)?;
        self.wrap(key_id, bytes)
    }

    /// The data key of a row.
    ///
    /// # Errors
    /// [`SealError::MasterKeyUnknown`], or [`SealError::Broken`] when it is not what was wrapped under this id.
    pub fn unwrap_key(&self, key_id: Uuid, wrapped: &WrappedKey) -> Result<DataKey, SealError> {
        DataKey::new(key_id, &self.unwrapped(key_id, wrapped)?)
    }

    /// The same data key under the newest master key; `None` when it is there already.
    ///
    /// # Errors
    /// As [`Self::unwrap_key`].
    pub fn rewrap(
        &self,
        key_id: Uuid,
        wrapped: &WrappedKey,
    ) -> Result<Option<WrappedKey>, SealError> {
        if wrapped.master_key_id == self.newest() {
            return Ok(None);
        }
        let bytes = self.unwrapped(key_id, wrapped)?;
        self.wrap(key_id, bytes).map(Some)
    }

    fn wrap(&self, key_id: Uuid, bytes: Plain) -> Result<WrappedKey, SealError> {
        let (id, master) = self.keys.first().ok_or(SealError::Failed)?;
        Ok(WrappedKey {
            bytes: seal(master, &bound(id, key_id), bytes)?,
            master_key_id: id.clone(),
        })
    }

    fn unwrapped(&self, key_id: Uuid, wrapped: &WrappedKey) -> Result<Plain, SealError> {
        let id = &wrapped.master_key_id;
        let master = self.keys.iter().find(|(known, _)| known == id);
        let (_, master) = master.ok_or_else(|| SealError::MasterKeyUnknown(id.clone()))?;
        open(master, &bound(id, key_id), &wrapped.bytes)
    }
}

fn bound(master_key_id: &str, key_id: Uuid) -> String {
    format!("oms/data-key/{master_key_id}/{key_id}")
}

fn is_id(id: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=ID_LEN_MAX).contains(&id.len()) && id.chars().all(is_good)
}
