//! Data keys: each seals what is kept of one person.

use std::fmt;

use aws_lc_rs::aead::RandomizedNonceKey;
use uuid::Uuid;

use crate::{Plain, SealError, key_of, open, seal};

/// First byte of sealed bytes: how they were sealed.
const FORM: u8 = 1;

/// A key that seals fields.
pub struct DataKey {
    id: Uuid,
    key: RandomizedNonceKey,
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl DataKey {
    pub(crate) fn new(id: Uuid, bytes: &[u8]) -> Result<Self, SealError> {
        Ok(Self {
            id,
            key: key_of(bytes)?,
        })
    }

    /// Its id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Seals bytes for a place: table, row and field, such as `addresses/<id>`. The same bytes are sealed differently
    /// each time.
    ///
    /// # Errors
    /// [`SealError::Failed`] when the system has no randomness.
    pub fn seal(&self, place: &str, plain: Plain) -> Result<Vec<u8>, SealError> {
        let mut sealed = vec![FORM];
        sealed.extend(seal(&self.key, &self.bound(place), plain)?);
        Ok(sealed)
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`SealError::Broken`] when the bytes are not what this key sealed for this place.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Plain, SealError> {
        match sealed.split_first() {
            Some((&FORM, rest)) => open(&self.key, &self.bound(place), rest),
            _ => Err(SealError::Broken),
        }
    }

    fn bound(&self, place: &str) -> String {
        format!("oms/{FORM}/{}/{place}", self.id)
    }
}
