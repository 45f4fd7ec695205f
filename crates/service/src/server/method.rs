//! What the server knows of each method it serves.

use std::collections::HashMap;

use oms_proto::METHODS;

/// Services that need no scope: they tell nothing of the business.
const PLUMBING: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// A method of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Method {
    /// `OrderService/PlaceOrder`, the label of metrics.
    pub(crate) label: &'static str,
    /// `order.place_order`, the name of spans.
    pub(crate) span: String,
    /// Scope that its caller needs.
    pub(crate) scope: &'static str,
    /// Whether its answer has no end: `Watch..` and `Subscribe`. Such calls are in no trace, count
    /// against no limit, and are ended when the server drains and at their age.
    pub(crate) is_endless: bool,
}

impl Method {
    /// `service` names the package: `order`.
    fn new(service: &str, path: &'static str, scope: &'static str) -> Self {
        let label = label(path);
        let name = label.rsplit('/').next().unwrap_or(label);
        Self {
            label,
            span: format!("{service}.{}", snake_case(name)),
            scope,
            is_endless: name.starts_with("Watch") || name.starts_with("Subscribe"),
        }
    }
}

/// `OrderService/PlaceOrder` of `/oms.order.v1.OrderService/PlaceOrder`.
pub(crate) fn label(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// The method of the contract with this path, whoever serves it.
pub(crate) fn of_path(path: &str) -> Option<Method> {
    let found = METHODS.binary_search_by_key(&path, |(path, _)| path).ok()?;
    let (path, scope) = METHODS.get(found)?;
    let package = path.trim_start_matches("/oms.").split('.').next();
    Some(Method::new(package.unwrap_or("oms"), path, scope))
}

/// What a path means to this server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Method(&'a Method),
    /// Health and reflection.
    Plumbing,
    Nothing,
}

/// The methods that this server serves.
#[derive(Debug, Default)]
pub(crate) struct Methods {
    by_path: HashMap<&'static str, Method>,
}

/// A service whose methods are not in the contract: nobody could be allowed to call them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not in the contract: its methods have no scope, so nobody may call them")]
pub struct NoScope(pub String);

impl Methods {
    /// The methods of these gRPC services (`oms.order.v1.OrderService`), served by the service `name`.
    pub(crate) fn of_services(name: &str, services: &[&str]) -> Result<Self, NoScope> {
        let mut by_path = HashMap::new();
        for service in services {
            let before = by_path.len();
            let prefix = format!("/{service}/");
            let methods = METHODS.iter().filter(|(path, _)| path.starts_with(&prefix));
            by_path.extend(methods.map(|(path, scope)| (*path, Method::new(name, path, scope))));
            if by_path.len() == before && !PLUMBING.contains(service) {
                return Err(NoScope((*service).to_owned()));
            }
        }
        Ok(Self { by_path })
    }

    pub(crate) fn find(&self, path: &str) -> Found<'_> {
        if let Some(method) = self.by_path.get(path) {
            return Found::Method(method);
        }
        let service = path.trim_start_matches('/').split('/').next();
        match service {
            Some(service) if PLUMBING.contains(&service) => Found::Plumbing,
            _ => Found::Nothing,
        }
    }
}

/// `PlaceOrder` -> `place_order`.
pub(crate) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for (n, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && n > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEED: &str = "oms.events.v1.EventFeedService";

    #[test]
    fn methods_know_their_names_and_scope() {
        let methods = Methods::of_services("order", &[FEED, PLUMBING[0]]).unwrap();
        let Found::Method(method) = methods.find("/oms.events.v1.EventFeedService/GetHead") else {
            panic!("GetHead is served");
        };
        assert_eq!(method.label, "EventFeedService/GetHead");
        assert_eq!(method.span, "order.get_head");
        assert_eq!(method.scope, "events.read");
        assert!(!method.is_endless);
        let subscribe = of_path("/oms.events.v1.EventFeedService/Subscribe").unwrap();
        assert!(subscribe.is_endless);
    }

    #[test]
    fn what_is_not_served_is_not_found() {
        let methods = Methods::of_services("order", &[FEED]).unwrap();
        for path in ["/oms.order.v1.OrderService/PlaceOrder", "/", "", "/x/y"] {
            assert_eq!(methods.find(path), Found::Nothing, "{path}");
        }
        assert_eq!(
            methods.find("/grpc.health.v1.Health/Check"),
            Found::Plumbing
        );
    }

    #[test]
    fn a_service_without_scopes_is_refused() {
        let refused = Methods::of_services("order", &["acme.v1.Backdoor"]);
        assert_eq!(refused.unwrap_err(), NoScope("acme.v1.Backdoor".to_owned()));
    }
}
