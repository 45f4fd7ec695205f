//! Personal data is sealed under a key of its customer, which is wrapped by a master key outside of the database.
//!
//! | file | what it does |
//! |---|---|
//! | here | keys and sealed addresses, for commands and queries |
//! | [`erase`] | forgets a key, with everything under it |
//! | [`keeper`] | background work: seals rows of before, wraps keys anew, erases what nobody needs any more |
//!
//! A data key is unwrapped where it is used and dropped after it: that takes microseconds, and nothing is left in memory.

pub(crate) mod erase;
pub(crate) mod keeper;

use std::path::Path;

use oms_core::{AddressId, Redacted};
use oms_seal::{DataKey, MasterKeys, Plain};
use serde::Deserialize;
use sqlx::PgConnection;

use crate::ctx::Ctx;
use crate::domain::address::Address;
use crate::domain::erasure::Subject;
use crate::error::Error;
use crate::store::StoreError;
use crate::store::addresses::StoredAddress;
use crate::store::data_keys::{self, StoredKey};

/// How personal data is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacyConfig {
    /// A file with the master keys.
    pub master_keys_file: String,
    /// The master keys themselves, instead of a file.
    pub master_keys: Redacted<String>,
    /// Pause between two rounds of the keeper in milliseconds.
    pub keeper_poll_ms: u64,
    /// Days after the last sign of life of a customer's orders after which the personal data is erased; 0 keeps it.
    pub retention_days: u32,
}

impl PrivacyConfig {
    /// What types cannot say; the text names the key.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.keeper_poll_ms == 0 {
            return Err("privacy.keeper_poll_ms: must be at least 1".to_owned());
        }
        if !self.master_keys_file.is_empty() && !self.master_keys.reveal().is_empty() {
            return Err("privacy.master_keys: not besides master_keys_file".to_owned());
        }
        // A file is read when the service starts: whoever migrates does not need it.
        if !self.master_keys.reveal().is_empty() {
            let keys = MasterKeys::parse(self.master_keys.reveal());
            keys.map_err(|error| format!("privacy.master_keys: {error}"))?;
        }
        Ok(())
    }

    /// The master keys; without any, in development, the one that everybody knows.
    ///
    /// # Errors
    /// The text names the key of the configuration and says what to do.
    pub(crate) fn masters(&self, insecure_dev: bool) -> Result<MasterKeys, String> {
        if !self.master_keys.reveal().is_empty() {
            let keys = MasterKeys::parse(self.master_keys.reveal());
            return keys.map_err(|error| format!("privacy.master_keys: {error}"));
        }
        if !self.master_keys_file.is_empty() {
            return read(Path::new(&self.master_keys_file))
                .map_err(|error| format!("privacy.master_keys_file: {error}"));
        }
        if insecure_dev {
            return Ok(MasterKeys::development());
        }
        Err(
            "privacy.master_keys_file: must name a file with ID:KEY per line, the newest first, as made by \
             echo \"k1:$(openssl rand -base64 32)\"; keep a copy apart from the database's backups"
                .to_owned(),
        )
    }
}

fn read(path: &Path) -> Result<MasterKeys, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let text = Plain::new(text.into_bytes());
    let text = std::str::from_utf8(&text).map_err(|_| format!("{shown}: is no text"))?;
    MasterKeys::parse(text).map_err(|error| format!("{shown}: {error}"))
}

/// The key of a subject, made when there is none; it is not erased before this transaction ends.
pub(crate) async fn key_for(
    ctx: &Ctx,
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<DataKey, Error> {
    if matches!(subject, Subject::Customer(_))
        && let Some(key) = data_keys::hold(conn, subject).await?
    {
        return unwrap_key(ctx, &key);
    }
    let key_id = ctx.id();
    let wrapped = ctx.masters.make(key_id)?;
    let key = StoredKey { key_id, wrapped };
    if data_keys::insert(conn, subject, &key, ctx.now()).await? {
        return unwrap_key(ctx, &key);
    }
    // Somebody else made it at the same time; or an order without a customer has one for its other address.
    match data_keys::hold(conn, subject).await? {
        Some(key) => unwrap_key(ctx, &key),
        None => Err(StoreError::inconsistent("data_keys", "wrapped", subject.id()).into()),
    }
}

fn unwrap_key(ctx: &Ctx, key: &StoredKey) -> Result<DataKey, Error> {
    Ok(ctx.masters.unwrap_key(key.key_id, &key.wrapped)?)
}

/// An address as its row keeps it.
pub(crate) fn seal_address(
    key: &DataKey,
    address_id: AddressId,
    address: &Address,
) -> Result<Vec<u8>, Error> {
    let plain = serde_json::to_vec(address).map_err(|_| oms_seal::SealError::Failed)?;
    Ok(key.seal(&place(address_id), Plain::new(plain))?)
}

/// The address of a row.
///
/// # Errors
/// [`Error::PersonalDataErased`] when its key is gone.
pub(crate) fn open_address(
    ctx: &Ctx,
    address_id: AddressId,
    stored: StoredAddress,
) -> Result<Address, Error> {
    let (key, sealed) = match stored {
        StoredAddress::Clear(address) => return Ok(address),
        StoredAddress::Erased => return Err(Error::PersonalDataErased),
        StoredAddress::Sealed { key, sealed } => (key, sealed),
    };
    let plain = unwrap_key(ctx, &key)?.open(&place(address_id), &sealed)?;
    let address = serde_json::from_slice(&plain);
    address.map_err(|_| StoreError::inconsistent("addresses", "sealed", address_id).into())
}

fn place(address_id: AddressId) -> String {
    format!("addresses/{address_id}")
}
