use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::Token;

/// Leases got by one acquisition. Give them back with [`crate::Leases::release`]; dropped, they
/// stay taken until they expire.
#[must_use = "a lease that is not released blocks its names until it expires"]
#[derive(Debug)]
pub struct Lease {
    pub(crate) holder: Uuid,
    /// What stands in Redis: differs for every acquisition, also of the same holder, so that a
    /// release that arrives late cannot end a lease taken since.
    pub(crate) value: String,
    pub(crate) tokens: BTreeMap<String, Token>,
    /// Before it was asked for, so that our clock never runs behind that of Redis.
    pub(crate) asked_at: Instant,
    pub(crate) ttl: Duration,
}

impl Lease {
    /// Who holds it; to store beside the token.
    pub fn holder(&self) -> Uuid {
        self.holder
    }

    /// The fencing token of a name, `None` if the lease does not cover it.
    pub fn token(&self, name: &str) -> Option<Token> {
        self.tokens.get(name).copied()
    }

    /// Names and tokens, sorted by name.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, Token)> {
        self.tokens
            .iter()
            .map(|(name, token)| (name.as_str(), *token))
    }

    /// Whether it covers nothing.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether less than two thirds of its life are over, by the monotonic clock. An older lease is
    /// not worth starting work with: give it back and take a new one.
    pub fn is_fresh(&self) -> bool {
        self.is_fresh_at(Instant::now())
    }

    /// As [`Lease::is_fresh`] at another time.
    pub fn is_fresh_at(&self, now: Instant) -> bool {
        now < self.fresh_until()
    }

    /// Until when it is fresh.
    pub fn fresh_until(&self) -> Instant {
        self.asked_at + self.ttl * 2 / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_fresh_for_two_thirds_of_its_life() {
        let asked_at = Instant::now();
        let lease = Lease {
            holder: Uuid::nil(),
            value: String::new(),
            tokens: BTreeMap::new(),
            asked_at,
            ttl: Duration::from_secs(3),
        };
        assert!(lease.is_fresh_at(asked_at));
        assert!(lease.is_fresh_at(asked_at + Duration::from_millis(1_999)));
        assert!(!lease.is_fresh_at(asked_at + Duration::from_secs(2)));
    }
}
