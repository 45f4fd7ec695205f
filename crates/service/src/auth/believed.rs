//! Under `insecure_dev`: callers are whoever they say that they are.

use std::sync::Arc;

use http::HeaderMap;
use oms_core::{Access, Principal, PrincipalKind, Reach};

use super::{Caller, unauthenticated};
use crate::error::ApiError;

/// Header by which callers name themselves under `insecure_dev`.
pub(crate) const PRINCIPAL_HEADER: &str = "oms-principal";

/// Headers by which a partner bounds itself under `insecure_dev`: ids with commas between.
const LOCATIONS_HEADER: &str = "oms-locations";
const CHANNELS_HEADER: &str = "oms-channels";

/// Whoever the caller says that it is. A partner may bound itself too, so that tests and development see
/// what partners see.
pub(super) fn caller(headers: &HeaderMap) -> Result<Caller, ApiError> {
    Ok(Caller {
        access: Arc::new(believed(headers)?),
        methods: None,
        quota: None,
        good_for: None,
    })
}

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
            let ids = value.to_str().unwrap_or_default().split(',');
            Reach::only(ids.map(str::trim).filter(|id| !id.is_empty()))
        }
        _ => Reach::All,
    };
    Ok(Access {
        locations: reach(LOCATIONS_HEADER),
        channels: reach(CHANNELS_HEADER),
        ..Access::unbounded(principal)
    })
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
                (LOCATIONS_HEADER, "us-west, us-east,"),
                (CHANNELS_HEADER, ""),
            ];
            believed(&headers(&bounds)).unwrap()
        };
        let acme = sees("partner:acme");
        assert_eq!(acme.locations, Reach::only(["us-west", "us-east"]));
        assert_eq!(acme.channels, Reach::only::<&str>([]));
        let alice = sees("user:alice");
        assert!(alice.locations.is_all() && alice.channels.is_all());
    }
}
