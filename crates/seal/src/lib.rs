//! Envelope encryption: a master key wraps data keys, a data key seals fields.
//!
//! ```
//! use oms_seal::{MasterKeys, Plain};
//!
//! let masters = MasterKeys::development();
//! let key_id = uuid::Uuid::nil();
//! let wrapped = masters.make(key_id)?;                // kept in a row; deleting it erases what is under it
//! let key = masters.unwrap_key(key_id, &wrapped)?;
//! let sealed = key.seal("addresses/1", Plain::new(b"1 Main St".to_vec()))?;
//! assert_eq!(*key.open("addresses/1", &sealed)?, b"1 Main St");
//! assert!(key.open("addresses/2", &sealed).is_err());
//! # Ok::<_, oms_seal::SealError>(())
//! ```
//! AES-256-GCM by aws-lc. Nonces are random, 96 bits: far below the 2^32 seals under one key that they allow, as a
//! data key belongs to one person and a master key wraps one key per person.

mod data;
mod master;

pub use data::DataKey;
pub use master::{MasterKeys, MasterKeysError, WrappedKey};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

/// Plain bytes, wiped when they are dropped.
pub type Plain = zeroize::Zeroizing<Vec<u8>>;

/// Bytes of a key.
const KEY_LEN: usize = 32;

/// Something cannot be sealed or opened. Says nothing of what it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The master key that wrapped the data key is not among those of this process.
    #[error("the master key {0:?} is not configured")]
    MasterKeyUnknown(String),
    /// The bytes were changed, moved from another place, or belong to another key.
    #[error("the sealed bytes do not belong to this key and place")]
    Broken,
    /// The cryptography or the system's randomness failed.
    #[error("sealing failed")]
    Failed,
}

fn key_of(bytes: &[u8]) -> Result<RandomizedNonceKey, SealError> {
    RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| SealError::Failed)
}

/// Nonce, ciphertext and tag.
fn seal(key: &RandomizedNonceKey, aad: &str, mut plain: Plain) -> Result<Vec<u8>, SealError> {
    // The tag must not move the plain bytes: what is left behind would not be wiped.
    let mut bytes = Plain::new(Vec::with_capacity(plain.len() + AES_256_GCM.tag_len()));
    bytes.append(&mut plain);
    let nonce = key
        .seal_in_place_append_tag(Aad::from(aad.as_bytes()), &mut *bytes)
        .map_err(|_| SealError::Failed)?;
    let mut sealed = nonce.as_ref().to_vec();
    sealed.extend_from_slice(&bytes);
    Ok(sealed)
}

fn open(key: &RandomizedNonceKey, aad: &str, sealed: &[u8]) -> Result<Plain, SealError> {
    let (nonce, sealed) = sealed
        .split_at_checked(NONCE_LEN)
        .ok_or(SealError::Broken)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Broken)?;
    let mut bytes = Plain::new(sealed.to_vec());
    let opened = key
        .open_in_place(nonce, Aad::from(aad.as_bytes()), &mut bytes)
        .map_err(|_| SealError::Broken)?
        .len();
    bytes.truncate(opened);
    Ok(bytes)
}
