//! Roles as sets of scopes.

use std::collections::{BTreeMap, BTreeSet};

use oms_proto::METHODS;

use crate::config::{ConfigError, from_toml};

const DEFAULTS: &str = include_str!("roles.toml");

/// Patterns of scopes by the name of a role, as configured.
pub(crate) type RolePatterns = BTreeMap<String, Vec<String>>;

/// Every role with its scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Roles(BTreeMap<String, BTreeSet<String>>);

impl Roles {
    /// The embedded roles with those of the configuration over them.
    ///
    /// # Errors
    /// When a pattern names no scope of the contract.
    pub(crate) fn new(configured: &RolePatterns) -> Result<Self, ConfigError> {
        let mut patterns: RolePatterns = from_toml(DEFAULTS)?;
        patterns.extend(configured.clone());
        let mut roles = BTreeMap::new();
        for (role, patterns) in patterns {
            let scopes = expand(&patterns)
                .map_err(|unknown| ConfigError::Invalid(format!("auth.roles.{role}: {unknown}")))?;
            roles.insert(role, scopes);
        }
        Ok(Self(roles))
    }

    /// The scopes of a role; `None` when nobody has defined it.
    pub(crate) fn scopes(&self, role: &str) -> Option<&BTreeSet<String>> {
        self.0.get(role)
    }

    /// Names of all roles.
    #[cfg(test)]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The scopes that these patterns name. The error tells of a pattern that names none.
pub(crate) fn expand(patterns: &[String]) -> Result<BTreeSet<String>, String> {
    let (mut scopes, mut without) = (BTreeSet::new(), BTreeSet::new());
    for pattern in patterns {
        let (into, name) = match pattern.strip_prefix('!') {
            Some(name) => (&mut without, name),
            None => (&mut scopes, pattern.as_str()),
        };
        let before = all().filter(|scope| matches(name, scope));
        let named: BTreeSet<_> = before.map(str::to_owned).collect();
        if named.is_empty() {
            return Err(format!("{pattern:?} is no scope of the contract"));
        }
        into.extend(named);
    }
    Ok(scopes.difference(&without).cloned().collect())
}

/// Whether the contract has this scope.
pub(crate) fn is_scope(name: &str) -> bool {
    all().any(|scope| scope == name)
}

/// Every scope of the contract, some several times.
fn all() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|(_, scope)| *scope)
}

fn matches(pattern: &str, scope: &str) -> bool {
    if pattern == "*" || pattern == scope {
        return true;
    }
    let Some((resource, verb)) = scope.split_once('.') else {
        return false;
    };
    match pattern.split_once('.') {
        Some(("*", wanted)) => wanted == verb,
        Some((wanted, "*")) => wanted == resource,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Roles, String> {
        Roles::new(&from_toml(text).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_embedded_roles_are_those_of_the_documentation() {
        let roles = of("").unwrap();
        let names: Vec<&str> = roles.names().collect();
        assert_eq!(
            names,
            [
                "admin",
                "connector",
                "csr",
                "operator",
                "partner",
                "read_only",
                "service",
                "warehouse"
            ]
        );
        let may = |role: &str, scope: &str| roles.scopes(role).unwrap().contains(scope);
        assert!(all().all(|scope| may("admin", scope)));
        assert!(may("read_only", "orders.read") && !may("read_only", "addresses.read"));
        for scope in ["privacy.read", "audit.read", "webhooks.read"] {
            assert!(is_scope(scope) && !may("read_only", scope), "{scope}");
        }
        let changes = |scope: &&str| scope.rsplit('.').next() != Some("read");
        assert!(!all().filter(changes).any(|scope| may("read_only", scope)));
        // What the embedded role keeps from partners; a configuration may give them more, within their reach.
        for scope in [
            "orders.read",
            "events.read",
            "addresses.read",
            "stock.write",
            "payments.write",
        ] {
            assert!(!may("partner", scope), "{scope}");
        }
    }

    #[test]
    fn the_configuration_replaces_and_adds_roles() {
        let roles =
            of("csr = [\"orders.*\", \"!orders.write\"]\nauditor = [\"orders.read\"]").unwrap();
        let csr = roles.scopes("csr").unwrap();
        assert_eq!(csr, roles.scopes("auditor").unwrap());
        assert_eq!(csr.iter().collect::<Vec<_>>(), ["orders.read"]);
        assert!(roles.scopes("admin").is_some() && roles.scopes("nobody").is_none());
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        for wrong in [
            "orders.raed",
            "order.*",
            "*.reed",
            "!orders.raed",
            "",
            "orders",
        ] {
            let refused = of(&format!("csr = [{wrong:?}]")).unwrap_err();
            assert!(refused.contains("auth.roles.csr"), "{refused}");
        }
        assert!(is_scope("orders.read") && !is_scope("openid"));
    }
}
