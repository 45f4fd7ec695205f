//! The section `[auth]`: who may call.

use std::path::PathBuf;

use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::callers::CallerMethods;
use super::roles::{RolePatterns, Roles};
use crate::config::ConfigError;

/// Who may call, and how callers prove who they are. Nobody may anything by default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Scopes of roles, over the embedded ones: `csr = ["orders.*", "!orders.write"]`.
    pub(crate) roles: RolePatterns,
    /// Methods that services may call, over the embedded ones: `[auth.callers.gateway] order = ["OrderService/*"]`.
    pub(crate) callers: CallerMethods,
    /// Tokens of people and platforms. Default: none are taken.
    pub jwt: Option<JwtConfig>,
    /// Keys of partners. Default: none are taken.
    pub api_keys: Option<ApiKeysConfig>,
    /// Calls of one caller, unless its key says otherwise; services have no quota. Default: 200 a second, 400
    /// at once; none in development.
    pub quota: Option<Quota>,
    /// Calls of one caller in work at a time, its open streams among them; services have no limit, 0 is none. Default:
    /// 128; none in development.
    pub calls_in_work: Option<usize>,
    /// Failed proofs of identity (tokens, keys; signatures of webhooks apart from those) of one address before it is
    /// refused without a look. Default: 10 a second, 100 at once; no limit in development.
    pub failures: Option<Quota>,
}

/// Which tokens are taken.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// `iss` of the tokens.
    pub issuer: String,
    /// What `aud` of the tokens must contain.
    pub audience: String,
    /// Where the issuer publishes its keys: https, or http on loopback.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Instead of `jwks_url`: a file with the keys, read again when it changes.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// Algorithms that are taken. Default `["RS256", "ES256", "EdDSA"]`; those with a shared secret never are.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// Seconds that clocks may differ. Default 30.
    #[serde(default = "default_leeway")]
    pub leeway_secs: u32,
    /// Claim with names of roles: a list, or one text with spaces between. Dots go into objects:
    /// `realm_access.roles`. Default `roles`.
    #[serde(default = "default_roles_claim")]
    pub roles_claim: String,
    /// Claim with scopes beside those of the roles. Default `scope`.
    #[serde(default = "default_scopes_claim")]
    pub scopes_claim: String,
    /// Claim with ids of locations. Without it people see all, partners nothing. Default `oms_locations`.
    #[serde(default = "default_locations_claim")]
    pub locations_claim: String,
    /// Claim with ids of channels, in the same way. Default `oms_channels`.
    #[serde(default = "default_channels_claim")]
    pub channels_claim: String,
    /// Claim with the name of the partner for which somebody works, who then is `partner:<name>` and not
    /// `user:<sub>`. Default `oms_partner`.
    #[serde(default = "default_partner_claim")]
    pub partner_claim: String,
}

fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
}

fn default_leeway() -> u32 {
    30
}

fn default_roles_claim() -> String {
    "roles".to_owned()
}

fn default_scopes_claim() -> String {
    "scope".to_owned()
}

fn default_locations_claim() -> String {
    "oms_locations".to_owned()
}

fn default_channels_claim() -> String {
    "oms_channels".to_owned()
}

fn default_partner_claim() -> String {
    "oms_partner".to_owned()
}

/// Where the keys of partners are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeysConfig {
    /// TOML with one `[[keys]]` for each, as `oms api-key new` prints it; read again when it changes.
    pub file: PathBuf,
    /// The secret under which keys are hashed: 32 bytes or more.
    pub pepper_file: PathBuf,
}

/// How often somebody may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Calls a second, on average. 0 is no limit.
    pub calls_per_second: u32,
    /// Calls at once.
    pub burst: u32,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            calls_per_second: 200,
            burst: 400,
        }
    }
}

impl Quota {
    pub(crate) fn check(self, key: &str) -> Result<(), ConfigError> {
        if self.calls_per_second > 0 && self.burst == 0 {
            return Err(ConfigError::Invalid(format!(
                "{key}.burst: must be at least 1"
            )));
        }
        Ok(())
    }
}

impl AuthConfig {
    /// Checks what types cannot say.
    pub(crate) fn check(&self, service: &str) -> Result<(), ConfigError> {
        Roles::new(&self.roles)?;
        super::callers::Callers::new(&self.callers, service)?;
        if let Some(jwt) = &self.jwt {
            jwt.check().map_err(ConfigError::Invalid)?;
        }
        for (key, quota) in [("auth.quota", self.quota), ("auth.failures", self.failures)] {
            quota.map_or(Ok(()), |quota| quota.check(key))?;
        }
        Ok(())
    }
}

impl JwtConfig {
    fn check(&self) -> Result<(), String> {
        if self.issuer.is_empty() || self.audience.is_empty() {
            return Err("auth.jwt: issuer and audience must not be empty".to_owned());
        }
        let is_shared = |algorithm: &&Algorithm| {
            matches!(
                algorithm,
                Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
            )
        };
        if let Some(shared) = self.algorithms.iter().find(is_shared) {
            return Err(format!(
                "auth.jwt.algorithms: {shared:?} has a shared secret, which is not taken"
            ));
        }
        if self.algorithms.is_empty() {
            return Err("auth.jwt.algorithms: must not be empty".to_owned());
        }
        match (&self.jwks_url, &self.jwks_file) {
            (Some(url), None) => check_url(url),
            (None, Some(_)) => Ok(()),
            _ => Err("auth.jwt: needs jwks_url or jwks_file, and not both".to_owned()),
        }
    }
}

/// https, or http on loopback.
fn check_url(text: &str) -> Result<(), String> {
    let uri = text.parse::<http::Uri>().ok();
    let is_fit = uri.is_some_and(|uri| match uri.scheme_str() {
        Some("https") => uri.host().is_some(),
        Some("http") => uri.host().is_some_and(is_loopback),
        _ => false,
    });
    if is_fit {
        return Ok(());
    }
    Err(format!(
        "auth.jwt.jwks_url: {text:?} is not https:// (or http:// on loopback)"
    ))
}

/// Whether a host of an address is this machine.
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_toml;

    fn check(text: &str) -> Result<(), String> {
        let config: AuthConfig = from_toml(text).map_err(|error| error.to_string())?;
        config.check("order").map_err(|error| error.to_string())
    }

    #[test]
    fn keys_of_an_issuer_come_by_https() {
        let jwt = |more: &str| check(&format!("[jwt]\nissuer = \"i\"\naudience = \"a\"\n{more}"));
        assert_eq!(jwt("jwks_url = \"https://id.example.com/keys\""), Ok(()));
        assert_eq!(jwt("jwks_url = \"http://127.0.0.1:9/keys\""), Ok(()));
        assert_eq!(jwt("jwks_url = \"http://[::1]:9/keys\""), Ok(()));
        assert_eq!(jwt("jwks_file = \"jwks.json\""), Ok(()));
        for wrong in [
            "jwks_url = \"http://id.example.com/keys\"",
            "jwks_url = \"http://127.0.0.1.example.com/keys\"",
            "jwks_url = \"id.example.com\"",
            "",
            "jwks_url = \"https://id/keys\"\njwks_file = \"x\"",
            "jwks_file = \"x\"\nalgorithms = [\"HS256\"]",
            "jwks_file = \"x\"\nalgorithms = [\"none\"]",
            "jwks_file = \"x\"\nalgorithms = []",
            "jwks_file = \"x\"\nleeway = 3",
        ] {
            assert!(jwt(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn everything_is_checked_at_the_start() {
        assert_eq!(check(""), Ok(()));
        for wrong in [
            "[roles]\ncsr = [\"nothing.read\"]",
            "[callers.gateway]\norder = [\"Nothing/Get\"]",
            "[quota]\ncalls_per_second = 1\nburst = 0",
            "[api_keys]\nfile = \"x\"",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
