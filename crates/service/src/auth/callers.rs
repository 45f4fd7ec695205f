//! Which service may call which methods of this one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use oms_core::{Access, Principal, PrincipalKind, Reach};
use oms_proto::METHODS;

use crate::config::{ConfigError, from_toml};
use crate::server::method::label;

const DEFAULTS: &str = include_str!("callers.toml");

/// Caller, called service, methods as `Service/Method` or `Service/*`; as configured.
pub(crate) type CallerMethods = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// A service that may call.
#[derive(Debug, Clone)]
pub(crate) struct CallingService {
    pub(crate) access: Arc<Access>,
    /// Labels of the methods that it may call.
    pub(crate) methods: Arc<BTreeSet<&'static str>>,
}

/// The services that may call this one, by name.
#[derive(Debug, Default)]
pub(crate) struct Callers(BTreeMap<String, CallingService>);

impl Callers {
    /// The embedded list with that of the configuration over it, as far as it is about calls of `callee`.
    ///
    /// # Errors
    /// When a method is not in the contract, or a caller has no name that a principal can have.
    pub(crate) fn new(configured: &CallerMethods, callee: &str) -> Result<Self, ConfigError> {
        let mut all: CallerMethods = from_toml(DEFAULTS)?;
        for (caller, callees) in configured {
            all.entry(caller.clone())
                .or_default()
                .extend(callees.clone());
        }
        let mut callers = BTreeMap::new();
        for (caller, callees) in all {
            // All of them are checked, so that each service finds the mistakes of a shared file.
            for (name, patterns) in callees {
                let service = calling(&caller, &patterns).map_err(|wrong| {
                    ConfigError::Invalid(format!("auth.callers.{caller}.{name}: {wrong}"))
                })?;
                if name == callee {
                    callers.insert(caller.clone(), service);
                }
            }
        }
        Ok(Self(callers))
    }

    /// The service with this name, if it may call anything here.
    pub(crate) fn find(&self, name: &str) -> Option<&CallingService> {
        self.0.get(name)
    }
}

fn calling(caller: &str, patterns: &[String]) -> Result<CallingService, String> {
    let (mut methods, mut scopes) = (BTreeSet::new(), BTreeSet::new());
    for pattern in patterns {
        let mut is_known = false;
        for (path, scope) in METHODS {
            let label = label(path);
            let service = pattern.strip_suffix("/*");
            if label == pattern || service.is_some_and(|s| label.split('/').next() == Some(s)) {
                is_known = true;
                methods.insert(label);
                scopes.insert(*scope);
            }
        }
        if !is_known {
            return Err(format!("{pattern:?} is no method of the contract"));
        }
    }
    let principal =
        Principal::try_new(PrincipalKind::Service, caller).map_err(|e| e.to_string())?;
    let access = Access {
        scopes: Reach::only(scopes),
        ..Access::unbounded(principal)
    };
    Ok(CallingService {
        access: Arc::new(access),
        methods: Arc::new(methods),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_list_is_closed() {
        let callers = Callers::new(&CallerMethods::new(), "inventory").unwrap();
        let order = callers.find("order").unwrap();
        assert!(order.methods.contains("ReservationService/Reserve"));
        assert!(!order.methods.contains("StockService/AdjustStock"));
        assert!(order.access.scopes.permits("events.read"));
        assert_eq!(order.access.principal.to_string(), "service:order");
        assert!(callers.find("returns").is_none() && callers.find("inventory").is_none());
    }

    #[test]
    fn the_configuration_adds_to_it() {
        let gateway = "[gateway]\norder = [\"OrderService/*\"]\n[order]\ninventory = []";
        let configured = from_toml(gateway).unwrap();
        let callers = Callers::new(&configured, "order").unwrap();
        let gateway = callers.find("gateway").unwrap();
        assert!(gateway.methods.contains("OrderService/PlaceOrder"));
        let callers = Callers::new(&configured, "inventory").unwrap();
        assert!(callers.find("order").unwrap().methods.is_empty());
        let wrong = from_toml("[gateway]\norder = [\"OrderService/Nothing\"]").unwrap();
        let refused = Callers::new(&wrong, "shipping").unwrap_err().to_string();
        assert!(refused.contains("auth.callers.gateway.order"), "{refused}");
    }
}
