//! Who calls, whether it may, and how often.
//!
//! A caller proves who it is by a token of the issuer (people, platforms), an API key (partners), or a certificate
//! (our own services). A token or key decides when there is one, whatever the certificate says.

pub(crate) mod api_keys;
mod believed;
pub(crate) mod callers;
pub(crate) mod config;
pub(crate) mod failures;
mod fetch;
mod in_work;
mod jwks;
mod jwt;
mod quotas;
pub(crate) mod roles;
pub(crate) mod watched;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use oms_core::{Access, Clock, Principal, PrincipalKind, Reach};
use oms_proto::common::v1::ErrorReason;
use tonic::Code;

use crate::config::{Common, ConfigError};
use crate::error::ApiError;
use crate::server::method::Method;
use crate::tls::{ServiceNames, UriNames};
use api_keys::ApiKeys;
use callers::Callers;
use config::Quota;
use failures::{Door, Failures};
use jwt::Tokens;
use quotas::Quotas;
use roles::Roles;
use watched::{Refresh, Watched};

pub(crate) use believed::PRINCIPAL_HEADER;
pub(crate) use in_work::{InWork, Place};

/// The caller, as the stack leaves it in the request's extensions.
#[derive(Debug, Clone)]
pub(crate) struct CallAccess(pub(crate) Arc<Access>);

/// A caller that has proved who it is.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) access: Arc<Access>,
    /// Labels of the only methods that it may call, for services.
    methods: Option<Arc<BTreeSet<&'static str>>>,
    /// Its own quota, instead of everybody's.
    quota: Option<Quota>,
    /// How long its proof is good from now on; `None` where nothing says it.
    pub(crate) good_for: Option<Duration>,
}

/// Authenticates and authorises. What does not let in keeps out.
pub(crate) struct Guard {
    /// Callers are believed.
    insecure_dev: bool,
    tokens: Option<Tokens>,
    api_keys: Option<Arc<Watched<ApiKeys>>>,
    callers: Callers,
    names: ServiceNames,
    quota: Quota,
    quotas: Quotas,
    /// Most calls of one caller in work at a time; 0 is no limit.
    calls_in_work: usize,
    in_work: InWork<Principal>,
    failures: Failures,
    clock: Arc<dyn Clock>,
}

impl Guard {
    /// The guard of the service with this name.
    ///
    /// # Errors
    /// When the configuration, or a file that it names, cannot be used.
    pub(crate) fn new(
        common: &Common,
        service: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let auth = &common.auth;
        let roles = Arc::new(Roles::new(&auth.roles)?);
        let tokens = auth.jwt.clone();
        let tokens = tokens.map(|jwt| Tokens::new(jwt, Arc::clone(&roles), Arc::clone(&clock)));
        let api_keys = auth.api_keys.as_ref();
        let api_keys = api_keys.map(|keys| ApiKeys::watched(keys, roles).map(Arc::new));
        let no_quota = Quota {
            calls_per_second: 0,
            burst: 0,
        };
        let (quota, calls_in_work, failures) = if common.insecure_dev {
            (no_quota, 0, no_quota)
        } else {
            (Quota::default(), CALLS_IN_WORK, FAILURES)
        };
        Ok(Self {
            insecure_dev: common.insecure_dev,
            tokens: tokens.transpose()?,
            api_keys: api_keys.transpose()?,
            callers: Callers::new(&auth.callers, service)?,
            names: common.tls.service_names(),
            quota: auth.quota.unwrap_or(quota),
            quotas: Quotas::default(),
            calls_in_work: auth.calls_in_work.unwrap_or(calls_in_work),
            in_work: InWork::default(),
            failures: Failures::new(auth.failures.unwrap_or(failures)),
            clock,
        })
    }

    /// The files that are to be read again when they change.
    pub(crate) fn watched(&self) -> Vec<Arc<dyn Refresh>> {
        let tokens = self.tokens.as_ref().and_then(Tokens::watched);
        let keys = self.api_keys.clone().map(|keys| keys as Arc<dyn Refresh>);
        tokens.into_iter().chain(keys).collect()
    }

    /// Who calls, and what it may. `certificate` holds the names in the client's, if it showed one; `peer` is where the
    /// connection comes from.
    pub(crate) async fn authenticate(
        &self,
        headers: &HeaderMap,
        certificate: Option<&UriNames>,
        peer: Option<IpAddr>,
    ) -> Result<Caller, ApiError> {
        if self.insecure_dev {
            return believed::caller(headers);
        }
        if let Some(value) = headers.get(AUTHORIZATION) {
            let text = value.to_str().unwrap_or_default();
            let heard = self.failures.admit(Door::Call, peer, Some(text));
            heard.map_err(unheard)?;
            let proof = self.by_secret(text).await;
            match &proof {
                Ok(_) => self.failures.proved(text),
                Err(error) if error.code() == Code::Unauthenticated => {
                    self.failures.failed(Door::Call, peer, Some(text));
                }
                Err(_) => {}
            }
            return proof;
        }
        self.by_certificate(headers, certificate)
    }

    /// Whether a webhook from there is looked at. The error is the time after which that is so again.
    pub(crate) fn hear_webhook(&self, peer: Option<IpAddr>) -> Result<(), Duration> {
        self.failures.admit(Door::Webhook, peer, None)
    }

    /// Counts a webhook whose sender did not prove who it is.
    pub(crate) fn unproved_webhook(&self, peer: Option<IpAddr>) {
        self.failures.failed(Door::Webhook, peer, None);
    }

    /// By `Bearer <token or key>`.
    async fn by_secret(&self, text: &str) -> Result<Caller, ApiError> {
        let secret = text
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (_, secret) = secret
            .ok_or_else(|| unauthenticated("authorization must be Bearer and a token or key"))?;
        if secret.starts_with(api_keys::PREFIX) {
            let keys = self.api_keys.as_ref();
            let keys = keys.ok_or_else(|| unauthenticated("the server takes no API keys"))?;
            return keys.get().verify(secret, self.clock.now());
        }
        let tokens = self.tokens.as_ref();
        let tokens = tokens.ok_or_else(|| unauthenticated("the server takes no tokens"))?;
        let (access, good_for) = tokens.verify(secret).await?;
        Ok(Caller {
            access: Arc::new(access),
            methods: None,
            quota: None,
            good_for: Some(good_for),
        })
    }

    fn by_certificate(
        &self,
        headers: &HeaderMap,
        certificate: Option<&UriNames>,
    ) -> Result<Caller, ApiError> {
        let Some(name) = self.names.of_call(headers, certificate) else {
            return Err(unauthenticated("the caller did not prove who it is"));
        };
        let service = self.callers.find(&name).ok_or_else(|| {
            let message = format!("the service {name} is not on the list of callers");
            ApiError::new(Code::PermissionDenied, ErrorReason::ScopeMissing, message)
        })?;
        Ok(Caller {
            access: Arc::clone(&service.access),
            methods: Some(Arc::clone(&service.methods)),
            quota: None,
            good_for: None,
        })
    }

    /// Counts the call against the caller's quota, and as one in work for as long as the answer is kept. `None` for a
    /// caller without a limit.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when the caller has used up its quota, or has as many calls in work as it may.
    pub(crate) fn enter(&self, caller: &Caller) -> Result<Option<Place<Principal>>, ApiError> {
        let principal = &caller.access.principal;
        // Services have a list of methods and are ours: a limit would only make outages of them.
        if caller.methods.is_some() {
            return Ok(None);
        }
        let quota = caller.quota.unwrap_or(self.quota);
        self.quotas.take(quota, principal).map_err(|wait| {
            limited("the caller has used up its quota; try again later")
                .with("calls_per_second", quota.calls_per_second)
                .with_retry_after(wait)
        })?;
        if self.calls_in_work == 0 {
            return Ok(None);
        }
        let place = self.in_work.enter(self.calls_in_work, principal);
        place.map(Some).ok_or_else(|| {
            limited("the caller has too many calls in work; wait for their answers")
                .with("calls_in_work", self.calls_in_work)
                .with_retry_after(IN_WORK_WAIT)
        })
    }
}

/// Calls of one caller in work at a time: a quarter of what a server takes, so that one that is slow to send its messages
/// or to read its streams leaves room for others.
const CALLS_IN_WORK: usize = 128;
/// When a caller with too many calls in work may try again.
const IN_WORK_WAIT: Duration = Duration::from_millis(500);

fn limited(message: &str) -> ApiError {
    ApiError::new(Code::ResourceExhausted, ErrorReason::RateLimited, message)
}

/// Failures of one address: more than people and programs make by mistake, fewer than guessing needs.
const FAILURES: Quota = Quota {
    calls_per_second: 10,
    burst: 100,
};

fn unheard(wait: Duration) -> ApiError {
    limited("too many wrong tokens or keys came from this address; try again later")
        .with_retry_after(wait)
}

/// Whether the caller may call the method.
pub(crate) fn authorise(caller: &Caller, method: &Method) -> Result<(), ApiError> {
    let scope = method.scope;
    let is_listed = caller
        .methods
        .as_ref()
        .is_none_or(|methods| methods.contains(method.label));
    if is_listed && caller.access.scopes.permits(scope) {
        return Ok(());
    }
    let message = if is_listed {
        format!("the caller lacks the scope {scope}")
    } else {
        format!(
            "the service is not on the list of callers of {}",
            method.label
        )
    };
    let error = ApiError::new(Code::PermissionDenied, ErrorReason::ScopeMissing, message);
    Err(error.with("scope", scope))
}

/// The reach of a list of ids: `*` is all. Without a list people reach all, and partners nothing.
pub(crate) fn reach_of(kind: PrincipalKind, names: Option<Vec<String>>) -> Reach {
    match names {
        Some(names) if names.iter().any(|name| name == "*") => Reach::All,
        Some(names) => Reach::only(names),
        None if kind == PrincipalKind::Partner => Reach::only::<&str>([]),
        None => Reach::All,
    }
}

pub(crate) fn unauthenticated(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::Unauthenticated, ErrorReason::Unauthenticated, message)
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let insecure_dev = &self.insecure_dev;
        f.debug_struct("Guard")
            .field("insecure_dev", insecure_dev)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_reach_nothing_unless_it_is_named() {
        use PrincipalKind::{Partner, User};
        let some = || Some(vec!["us-west".to_owned()]);
        assert_eq!(reach_of(Partner, None), Reach::only::<&str>([]));
        assert_eq!(reach_of(User, None), Reach::All);
        assert_eq!(reach_of(User, some()), Reach::only(["us-west"]));
        assert_eq!(reach_of(User, Some(Vec::new())), Reach::only::<&str>([]));
        assert_eq!(reach_of(Partner, Some(vec!["*".to_owned()])), Reach::All);
    }
}
