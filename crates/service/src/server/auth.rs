//! Who calls, and whether they may.

use http::HeaderMap;
use oms_core::{Principal, PrincipalKind};
use oms_proto::common::v1::ErrorReason;
use tonic::Code;

use crate::error::ApiError;

/// Header by which callers name themselves under `insecure_dev`.
pub(crate) const PRINCIPAL_HEADER: &str = "oms-principal";

/// The principal of a call, as the stack leaves it in the request's extensions.
#[derive(Debug, Clone)]
pub(crate) struct CallPrincipal(pub(crate) Principal);

/// Authenticates and authorises. What does not let in keeps out.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Callers are believed.
    pub(crate) insecure_dev: bool,
}

impl Guard {
    /// Who calls.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, ApiError> {
        if !self.insecure_dev {
            return Err(unauthenticated("the caller did not prove who it is"));
        }
        let Some(value) = headers.get(PRINCIPAL_HEADER) else {
            return Principal::try_new(PrincipalKind::User, "dev").map_err(ApiError::internal);
        };
        let text = value.to_str().unwrap_or_default();
        text.parse()
            .map_err(|error| unauthenticated(format!("{PRINCIPAL_HEADER}: {error}")))
    }

    /// Whether the caller has the scope of the method.
    pub(crate) fn authorise(&self, _caller: &Principal, scope: &str) -> Result<(), ApiError> {
        if self.insecure_dev {
            return Ok(());
        }
        let message = format!("the caller lacks the scope {scope}");
        Err(
            ApiError::new(Code::PermissionDenied, ErrorReason::ScopeMissing, message)
                .with("scope", scope),
        )
    }
}

fn unauthenticated(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::Unauthenticated, ErrorReason::Unauthenticated, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_insecure_dev_the_header_proves_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert(PRINCIPAL_HEADER, "user:alice".parse().unwrap());
        let strict = Guard {
            insecure_dev: false,
        };
        let refused = strict.authenticate(&headers).unwrap_err();
        assert_eq!(refused.reason(), ErrorReason::Unauthenticated);
        let alice: Principal = "user:alice".parse().unwrap();
        let refused = strict.authorise(&alice, "orders.write").unwrap_err();
        assert_eq!(refused.reason(), ErrorReason::ScopeMissing);
    }

    #[test]
    fn under_insecure_dev_callers_name_themselves() {
        let dev = Guard { insecure_dev: true };
        let mut headers = HeaderMap::new();
        let name = |headers: &HeaderMap| dev.authenticate(headers).map(|p| p.to_string());
        assert_eq!(name(&headers).unwrap(), "user:dev");
        headers.insert(PRINCIPAL_HEADER, "partner:acme".parse().unwrap());
        assert_eq!(name(&headers).unwrap(), "partner:acme");
        headers.insert(PRINCIPAL_HEADER, "root".parse().unwrap());
        assert!(name(&headers).is_err());
    }
}
