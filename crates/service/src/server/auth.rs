//! Who calls, and whether they may.

use std::sync::Arc;

use http::HeaderMap;
use oms_core::{Access, Principal, PrincipalKind, Reach};
use oms_proto::common::v1::ErrorReason;
use tonic::Code;

use crate::error::ApiError;

/// Header by which callers name themselves under `insecure_dev`.
pub(crate) const PRINCIPAL_HEADER: &str = "oms-principal";

/// Headers by which a partner bounds itself under `insecure_dev`: codes with commas between.
const LOCATIONS_HEADER: &str = "oms-locations";
const CHANNELS_HEADER: &str = "oms-channels";

/// The caller, as the stack leaves it in the request's extensions.
#[derive(Debug, Clone)]
pub(crate) struct CallAccess(pub(crate) Arc<Access>);

/// Authenticates and authorises. What does not let in keeps out.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Callers are believed.
    pub(crate) insecure_dev: bool,
}

impl Guard {
    /// Who calls, and what it may.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Access>, ApiError> {
        if !self.insecure_dev {
            return Err(unauthenticated("the caller did not prove who it is"));
        }
        believed(headers).map(Arc::new)
    }

    /// Whether the caller has the scope of the method.
    pub(crate) fn authorise(access: &Access, scope: &str) -> Result<(), ApiError> {
        if access.scopes.permits(scope) {
            return Ok(());
        }
        let message = format!("the caller lacks the scope {scope}");
        Err(
            ApiError::new(Code::PermissionDenied, ErrorReason::ScopeMissing, message)
                .with("scope", scope),
        )
    }
}

/// Whoever the caller says that it is. A partner may bound itself too, so that tests and development see
/// what partners see.
fn believed(headers: &HeaderMap) -> Result<Access, ApiError> {
    let principal = match headers.get(PRINCIPAL_HEADER) {
        Some(value) => {
            let text = value.to_str().unwrap_or_default();
            text.parse()
                .map_err(|error| unauthenticated(format!("{PRINCIPAL_HEADER}: {error}")))?
        }
        None => Principal::try_new(PrincipalKind::User, "dev").map_err(ApiError::internal)?,
    };
    let is_partner = principal.kind() == PrincipalKind::Partner;
    let reach = |name| match headers.get(name) {
        Some(value) if is_partner => {
            let codes = value.to_str().unwrap_or_default().split(',');
            Reach::only(codes.map(str::trim).filter(|code| !code.is_empty()))
        }
        _ => Reach::All,
    };
    Ok(Access {
        locations: reach(LOCATIONS_HEADER),
        channels: reach(CHANNELS_HEADER),
        ..Access::unbounded(principal)
    })
}

fn unauthenticated(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::Unauthenticated, ErrorReason::Unauthenticated, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().copied();
        pairs
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn without_insecure_dev_the_header_proves_nothing() {
        let strict = Guard {
            insecure_dev: false,
        };
        let refused = strict.authenticate(&headers(&[(PRINCIPAL_HEADER, "user:alice")]));
        assert_eq!(refused.unwrap_err().reason(), ErrorReason::Unauthenticated);
    }

    #[test]
    fn a_caller_needs_the_scope_of_the_method() {
        let alice = "user:alice".parse().unwrap();
        let alice = Access {
            scopes: Reach::only(["orders.read"]),
            ..Access::unbounded(alice)
        };
        assert!(Guard::authorise(&alice, "orders.read").is_ok());
        let refused = Guard::authorise(&alice, "orders.write").unwrap_err();
        assert_eq!(refused.reason(), ErrorReason::ScopeMissing);
    }

    #[test]
    fn under_insecure_dev_callers_name_themselves() {
        let name =
            |headers: &HeaderMap| believed(headers).map(|access| access.principal.to_string());
        assert_eq!(name(&headers(&[])).unwrap(), "user:dev");
        let acme = headers(&[(PRINCIPAL_HEADER, "partner:acme")]);
        assert_eq!(name(&acme).unwrap(), "partner:acme");
        assert!(name(&headers(&[(PRINCIPAL_HEADER, "root")])).is_err());
    }

    #[test]
    fn under_insecure_dev_partners_bound_themselves() {
        let sees = |principal: &str| {
            let bounds = [
                (PRINCIPAL_HEADER, principal),
                (LOCATIONS_HEADER, "WH-1, WH-2,"),
                (CHANNELS_HEADER, ""),
            ];
            believed(&headers(&bounds)).unwrap()
        };
        let acme = sees("partner:acme");
        assert_eq!(acme.locations, Reach::only(["WH-1", "WH-2"]));
        assert_eq!(acme.channels, Reach::only::<&str>([]));
        let alice = sees("user:alice");
        assert!(alice.locations.is_all() && alice.channels.is_all());
    }
}
