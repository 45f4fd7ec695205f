//! Tokens of people and platforms: who they say calls, once it is certain that the issuer says so.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Validation, decode, decode_header};
use oms_core::{Access, Clock, Principal, PrincipalKind};
use oms_proto::common::v1::ErrorReason;
use serde_json::{Map, Value};
use tonic::Code;

use super::config::JwtConfig;
use super::fetch::Fetcher;
use super::jwks::{self, FetchedKeys, KeySource, NoKey};
use super::roles::{self, Roles};
use super::watched::{Refresh, Watched};
use super::{reach_of, unauthenticated};
use crate::config::ConfigError;
use crate::error::ApiError;

type Claims = Map<String, Value>;

/// Verifies tokens.
pub(crate) struct Tokens {
    config: JwtConfig,
    keys: KeySource,
    roles: Arc<Roles>,
    clock: Arc<dyn Clock>,
}

impl Tokens {
    /// # Errors
    /// When the file with the keys cannot be read.
    pub(crate) fn new(
        config: JwtConfig,
        roles: Arc<Roles>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let keys = match (&config.jwks_file, &config.jwks_url) {
            (Some(file), _) => {
                let parse = |contents: &Vec<Vec<u8>>| {
                    jwks::parse(contents.first().map_or(&[], Vec::as_slice))
                };
                KeySource::File(Arc::new(Watched::new(vec![file.clone()], parse)?))
            }
            (None, url) => {
                let fetcher = Fetcher::new()
                    .map_err(|error| ConfigError::Invalid(format!("auth.jwt.jwks_url: {error}")))?;
                let url = url.clone().unwrap_or_default();
                KeySource::Url(Arc::new(FetchedKeys::new(url, fetcher, Arc::clone(&clock))))
            }
        };
        Ok(Self {
            config,
            keys,
            roles,
            clock,
        })
    }

    /// What is to be read again when it changes.
    pub(crate) fn watched(&self) -> Option<Arc<dyn Refresh>> {
        match &self.keys {
            KeySource::File(keys) => Some(Arc::clone(keys) as Arc<dyn Refresh>),
            KeySource::Url(_) => None,
        }
    }

    /// The caller that a token names, and how long the token is good from now on.
    ///
    /// # Errors
    /// UNAUTHENTICATED, saying what is wrong with the token; UNAVAILABLE when the issuer does not answer.
    pub(crate) async fn verify(&self, token: &str) -> Result<(Access, Duration), ApiError> {
        let claims = self.claims(token).await?;
        let good_for = self.check_times(&claims)?;
        let refused = |what: String| unauthenticated(format!("the token's {what}"));
        Ok((self.access(&claims).map_err(refused)?, good_for))
    }

    /// The claims of a token whose signature, issuer and audience are right.
    async fn claims(&self, token: &str) -> Result<Claims, ApiError> {
        // Of an unknown algorithm, such as none, this is an error too.
        let header = decode_header(token).map_err(|_| unauthenticated("the token is malformed"))?;
        if !self.config.algorithms.contains(&header.alg) {
            return Err(unauthenticated(format!(
                "the token's algorithm {:?} is not taken",
                header.alg
            )));
        }
        if header.crit.is_some() {
            return Err(unauthenticated("the token asks for an extension (crit)"));
        }
        let Some(kid) = header.kid else {
            return Err(unauthenticated(
                "the token does not say which key signed it (kid)",
            ));
        };
        let key = self.keys.key(&kid).await.map_err(|why| match why {
            NoKey::Unknown => {
                unauthenticated("the token was signed with a key that the issuer does not have")
            }
            NoKey::Unreachable => unreachable_issuer(),
        })?;
        if key
            .algorithm
            .is_some_and(|algorithm| algorithm != header.alg)
        {
            return Err(unauthenticated(
                "the token's algorithm is not that of its key",
            ));
        }
        let mut rules = Validation::new(header.alg);
        rules.set_issuer(&[&self.config.issuer]);
        rules.set_audience(&[&self.config.audience]);
        rules.set_required_spec_claims(&["iss", "aud", "exp", "nbf"]);
        // By our clock, and more strictly: see `check_times`.
        rules.validate_exp = false;
        let verified = decode::<Claims>(token, &key.decoding, &rules);
        let verified = verified.map_err(|error| {
            use jsonwebtoken::errors::ErrorKind;
            unauthenticated(match error.kind() {
                ErrorKind::InvalidIssuer => "the token is of another issuer (iss)".to_owned(),
                ErrorKind::InvalidAudience => "the token is for another audience (aud)".to_owned(),
                ErrorKind::MissingRequiredClaim(claim) => {
                    format!("the token has no usable {claim}")
                }
                _ => "the token's signature is wrong".to_owned(),
            })
        })?;
        Ok(verified.claims)
    }

    /// Whole seconds since 1970 and nothing else, so that no text and no fraction is read in two ways. Answers how long the
    /// token is good from now on.
    fn check_times(&self, claims: &Claims) -> Result<Duration, ApiError> {
        let seconds = |name: &str| {
            let value = claims
                .get(name)
                .and_then(Value::as_i64)
                .filter(|value| *value >= 0);
            value.ok_or_else(|| {
                unauthenticated(format!("the token's {name} is no whole number of seconds"))
            })
        };
        let (exp, nbf) = (seconds("exp")?, seconds("nbf")?);
        let now = self.clock.now().unix_timestamp();
        let leeway = i64::from(self.config.leeway_secs);
        let left = exp.saturating_add(leeway).saturating_sub(now);
        let left = u64::try_from(left).unwrap_or_default();
        if left == 0 {
            return Err(unauthenticated("the token has expired"));
        }
        if nbf > now + leeway {
            return Err(unauthenticated("the token is not valid yet"));
        }
        Ok(Duration::from_secs(left))
    }

    /// What the claims say of the caller. The error names the claim that cannot be used.
    fn access(&self, claims: &Claims) -> Result<Access, String> {
        let subject = claims
            .get("sub")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let (kind, id) = match at(claims, &self.config.partner_claim) {
            None => (PrincipalKind::User, subject),
            Some(partner) => (PrincipalKind::Partner, partner.as_str().unwrap_or_default()),
        };
        let principal =
            Principal::try_new(kind, id).map_err(|error| format!("subject: {error}"))?;

        let mut scopes = std::collections::BTreeSet::new();
        for role in names(claims, &self.config.roles_claim)?.unwrap_or_default() {
            // Issuers name roles of others, too.
            scopes.extend(self.roles.scopes(&role).into_iter().flatten().cloned());
        }
        let named = names(claims, &self.config.scopes_claim)?.unwrap_or_default();
        scopes.extend(named.into_iter().filter(|scope| roles::is_scope(scope)));
        Ok(Access {
            scopes: oms_core::Reach::Only(scopes),
            locations: reach_of(kind, names(claims, &self.config.locations_claim)?),
            channels: reach_of(kind, names(claims, &self.config.channels_claim)?),
            principal,
        })
    }
}

fn unreachable_issuer() -> ApiError {
    let message = "the issuer of the token does not answer; try again";
    ApiError::new(Code::Unavailable, ErrorReason::Unavailable, message).with("peer", "issuer")
}

/// The claim with this name, or at this path through objects.
fn at<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    // Names with dots are names first: `https://example.com/roles`.
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    at(claims.get(first)?.as_object()?, rest)
}

/// A list of texts, or one text with spaces between.
fn names(claims: &Claims, path: &str) -> Result<Option<Vec<String>>, String> {
    let unusable = || format!("{path} is neither a list of texts nor a text");
    match at(claims, path) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.split_whitespace().map(str::to_owned).collect())),
        Some(Value::Array(list)) => {
            let texts = list
                .iter()
                .map(|value| value.as_str().map(str::to_owned).ok_or_else(unusable));
            texts.collect::<Result<_, _>>().map(Some)
        }
        Some(_) => Err(unusable()),
    }
}
