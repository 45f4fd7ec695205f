//! What a caller may do, and what of the business it may see.

use std::collections::BTreeSet;

use crate::Principal;

/// A caller with everything that bounds it. The server's stack puts it together before any handler runs;
/// whoever answers from it decides purely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Who calls.
    pub principal: Principal,
    /// Scopes of the contract, such as `orders.read`. The stack has checked the one of the method.
    pub scopes: Reach,
    /// Ids of the locations whose work, stock and returns it may see and change. What lies at another
    /// location does not exist for it: NOT_FOUND by id, absent from lists, searches and sums.
    pub locations: Reach,
    /// Ids of the sales channels whose orders it may see and change, in the same way.
    pub channels: Reach,
}

impl Access {
    /// A caller without bounds: one of our own services, or anybody in development.
    pub fn unbounded(principal: Principal) -> Self {
        Self {
            principal,
            scopes: Reach::All,
            locations: Reach::All,
            channels: Reach::All,
        }
    }
}

/// How far something reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// No bound.
    All,
    /// These and nothing else; nothing at all when empty.
    Only(BTreeSet<String>),
}

impl Reach {
    /// These and nothing else.
    pub fn only<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        Self::Only(names.into_iter().map(Into::into).collect())
    }

    /// Whether this name is within.
    pub fn permits(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }

    /// Whether there is no bound.
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// The names in order, `None` without a bound: as an array for SQL,
    /// `$1::text[] IS NULL OR location_id = ANY($1)`.
    pub fn names(&self) -> Option<Vec<String>> {
        match self {
            Self::All => None,
            Self::Only(names) => Some(names.iter().cloned().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reach_permits_what_it_names() {
        assert!(Reach::All.permits("us-west") && Reach::All.is_all());
        assert_eq!(Reach::All.names(), None);
        let some = Reach::only(["us-east", "us-west"]);
        assert!(some.permits("us-west") && !some.permits("eu-north") && !some.permits("US-WEST"));
        assert_eq!(some.names().unwrap(), ["us-east", "us-west"]);
        let nothing = Reach::only::<&str>([]);
        assert!(!nothing.permits("") && !nothing.is_all());
    }
}
