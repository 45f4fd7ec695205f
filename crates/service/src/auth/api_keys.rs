//! Keys of partners: `oms_live_<id>_<secret>`. Servers know a keyed hash of each, never the key.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use oms_core::{Access, Principal, PrincipalKind, Reach};
use serde::Deserialize;
use sha2::Sha256;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::config::{ApiKeysConfig, Quota};
use super::roles::{self, Roles};
use super::watched::Watched;
use super::{Caller, reach_of, unauthenticated};
use crate::config::{ConfigError, from_toml};
use crate::error::ApiError;

/// What all keys begin with, so that scanners of repositories and logs find them.
pub(crate) const PREFIX: &str = "oms_live_";

/// Fewest bytes of a pepper.
const PEPPER_MIN: usize = 32;

/// The keys that may be used, by id.
pub(crate) struct ApiKeys {
    pepper: Vec<u8>,
    keys: HashMap<String, ApiKey>,
}

struct ApiKey {
    hash: Vec<u8>,
    expires_at: OffsetDateTime,
    quota: Option<Quota>,
    access: Arc<Access>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default)]
    keys: Vec<Entry>,
}

/// A key as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    principal: Principal,
    hmac_sha256: String,
    expires_at: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    locations: Option<Vec<String>>,
    #[serde(default)]
    channels: Option<Vec<String>>,
    #[serde(default)]
    quota: Option<Quota>,
}

impl ApiKeys {
    /// The keys of the configured file, kept up to date.
    ///
    /// # Errors
    /// When a file cannot be read, or an entry is wrong.
    pub(crate) fn watched(
        config: &ApiKeysConfig,
        roles: Arc<Roles>,
    ) -> Result<Watched<Self>, ConfigError> {
        let files = vec![config.file.clone(), config.pepper_file.clone()];
        Watched::new(files, move |contents| match contents.as_slice() {
            [keys, pepper] => Self::parse(keys, pepper, &roles),
            _ => Err("two files are needed".to_owned()),
        })
    }

    fn parse(keys: &[u8], pepper: &[u8], roles: &Roles) -> Result<Self, String> {
        let pepper = pepper.trim_ascii().to_vec();
        if pepper.len() < PEPPER_MIN {
            return Err(format!(
                "auth.api_keys.pepper_file: needs {PEPPER_MIN} bytes or more"
            ));
        }
        let text = std::str::from_utf8(keys).map_err(|error| error.to_string())?;
        let file: KeyFile = from_toml(text).map_err(|error| error.to_string())?;
        let mut keys = HashMap::new();
        for entry in file.keys {
            let id = entry.id.clone();
            let key = ApiKey::new(entry, roles)
                .map_err(|wrong| format!("auth.api_keys: {id}: {wrong}"))?;
            if keys.insert(id.clone(), key).is_some() {
                return Err(format!("auth.api_keys: {id}: is there twice"));
            }
        }
        Ok(Self { pepper, keys })
    }

    /// The caller whose key this is.
    ///
    /// # Errors
    /// UNAUTHENTICATED; which part of the key is wrong stays unsaid.
    pub(crate) fn verify(&self, text: &str, now: OffsetDateTime) -> Result<Caller, ApiError> {
        let id = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('_').next());
        let key = id.and_then(|id| self.keys.get(id));
        // For an unknown key, too, so that time tells nothing.
        let mac = mac(&self.pepper, text);
        let is_right = mac
            .verify_slice(key.map_or(&[0; 32], |key| &key.hash))
            .is_ok();
        let key = key.filter(|_| is_right);
        let key = key.ok_or_else(|| unauthenticated("the API key is not known"))?;
        if key.expires_at <= now {
            return Err(unauthenticated("the API key has expired"));
        }
        Ok(Caller {
            access: Arc::clone(&key.access),
            methods: None,
            quota: key.quota,
            good_for: (key.expires_at - now).try_into().ok(),
        })
    }
}

impl ApiKey {
    fn new(entry: Entry, all: &Roles) -> Result<Self, String> {
        let kind = entry.principal.kind();
        if kind == PrincipalKind::Service {
            return Err("services have certificates and no keys".to_owned());
        }
        let hash = hex::decode(&entry.hmac_sha256)
            .ok()
            .filter(|hash| hash.len() == 32);
        let hash = hash.ok_or("hmac_sha256 must be 64 hexadecimal digits")?;
        let expires_at = OffsetDateTime::parse(&entry.expires_at, &Rfc3339)
            .map_err(|error| format!("expires_at: {error}"))?;
        let mut scopes: BTreeSet<String> = roles::expand(&entry.scopes)?;
        for role in &entry.roles {
            let of_role = all
                .scopes(role)
                .ok_or_else(|| format!("there is no role {role:?}"))?;
            scopes.extend(of_role.iter().cloned());
        }
        if let Some(quota) = entry.quota {
            quota.check("quota").map_err(|error| error.to_string())?;
        }
        let access = Access {
            scopes: Reach::Only(scopes),
            locations: reach_of(kind, entry.locations),
            channels: reach_of(kind, entry.channels),
            principal: entry.principal,
        };
        Ok(Self {
            hash,
            expires_at,
            quota: entry.quota,
            access: Arc::new(access),
        })
    }
}

/// The whole key is hashed, so that its secret is good for its id only.
fn mac(pepper: &[u8], key: &str) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(pepper).expect("any length");
    mac.update(key.as_bytes());
    mac
}

/// What a new key is made with.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// Whose key it is.
    pub principal: Principal,
    /// Its roles.
    pub roles: Vec<String>,
    /// Scopes beside those of the roles.
    pub scopes: Vec<String>,
    /// Ids of the locations that it sees; `*` for all.
    pub locations: Vec<String>,
    /// Ids of the channels that it sees; `*` for all.
    pub channels: Vec<String>,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// A new key, and the entry for the file of keys.
#[derive(Clone)]
pub struct IssuedApiKey {
    /// The key, which nobody can show again.
    pub key: String,
    /// TOML to append to the file.
    pub entry: String,
}

/// Makes a key. `random` is 40 random bytes of which nobody knows anything.
///
/// # Errors
/// When something of it cannot be used: a role or scope that is not there, a pepper that is too short.
pub fn issue_api_key(
    new: &NewApiKey,
    pepper: &[u8],
    random: &[u8; 40],
) -> Result<IssuedApiKey, String> {
    let (id, secret) = random.split_at(8);
    let id = hex::encode(id);
    let key = format!("{PREFIX}{id}_{}", hex::encode(secret));
    let hash = hex::encode(mac(pepper.trim_ascii(), &key).finalize().into_bytes());
    let expires_at = new
        .expires_at
        .replace_nanosecond(0)
        .unwrap_or(new.expires_at);
    let expires_at = expires_at
        .format(&Rfc3339)
        .map_err(|error| error.to_string())?;
    let mut entry = format!(
        "[[keys]]\nid = {id:?}\nprincipal = {:?}\nhmac_sha256 = {hash:?}\nexpires_at = {expires_at:?}\n",
        new.principal.to_string()
    );
    let lists = [
        ("roles", &new.roles),
        ("scopes", &new.scopes),
        ("locations", &new.locations),
        ("channels", &new.channels),
    ];
    for (name, list) in lists {
        if !list.is_empty() {
            let _ = writeln!(entry, "{name} = {list:?}");
        }
    }
    let roles = Roles::new(&roles::RolePatterns::new()).map_err(|error| error.to_string())?;
    ApiKeys::parse(entry.as_bytes(), pepper, &roles)?;
    Ok(IssuedApiKey { key, entry })
}
