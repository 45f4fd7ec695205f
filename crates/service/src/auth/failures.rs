//! Failed proofs of identity, bounded per address of the peer.
//!
//! Guesses cost the server a signature or a hash each. An address that has failed too often is refused before that, for as
//! long as its quota needs to come back. Many may share an address (a gateway, an office): secrets that have proved good
//! here lately are let through to the check all the same, so that a stranger cannot lock out those who are known. Who is new
//! to this replica is not: behind a gateway the gateway has to tell its clients apart.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota as Rate, RateLimiter};
use metrics::counter;

use super::config::Quota;
use crate::names;

type Instant = <DefaultClock as Clock>::Instant;
type Limiter = RateLimiter<Peer, HashMapStateStore<Peer>, DefaultClock>;

/// Peers that are remembered before those that have their whole quota again are forgotten.
const PEERS_MAX: usize = 10_000;
/// Good secrets of one generation; two are remembered.
const KNOWN_MAX: usize = 10_000;

/// What somebody tries to get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    /// A call with a token or key.
    Call,
    /// A webhook with a signature. Apart from calls: who floods one does not close the other.
    Webhook,
}

impl Door {
    fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Webhook => "webhook",
        }
    }
}

/// Where they come from, and at which door. An IPv6 network of 64 bits is one peer: its owner has all of its addresses.
type Peer = (Door, IpAddr);

/// The failures of all peers.
pub(crate) struct Failures {
    /// `None` without a limit.
    limiter: Option<Limiter>,
    clock: DefaultClock,
    /// Until when a peer is not listened to.
    refused: Mutex<HashMap<Peer, Instant>>,
    known: Known,
}

impl Failures {
    /// Failures that a peer may make.
    pub(crate) fn new(quota: Quota) -> Self {
        let rate = NonZeroU32::new(quota.calls_per_second);
        let rate = rate.zip(NonZeroU32::new(quota.burst));
        Self {
            limiter: rate.map(|(rate, burst)| {
                RateLimiter::hashmap(Rate::per_second(rate).allow_burst(burst))
            }),
            clock: DefaultClock::default(),
            refused: Mutex::default(),
            known: Known::default(),
        }
    }

    /// Whether somebody from there is listened to. The error is the time after which that is so again.
    pub(crate) fn admit(
        &self,
        door: Door,
        addr: Option<IpAddr>,
        secret: Option<&str>,
    ) -> Result<(), Duration> {
        let Some(addr) = addr.filter(|_| self.limiter.is_some()) else {
            return Ok(());
        };
        let peer = (door, network(addr));
        let now = self.clock.now();
        let until = {
            let refused = self.refused.lock();
            let refused = refused.unwrap_or_else(PoisonError::into_inner);
            refused.get(&peer).copied().filter(|until| *until > now)
        };
        match until {
            Some(until) if secret.is_none_or(|secret| !self.known.has(secret)) => {
                counter!(names::AUTH_FAILURES, "door" => door.as_str(), "outcome" => "unheard")
                    .increment(1);
                Err(until.duration_since(now))
            }
            _ => Ok(()),
        }
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, door: Door, addr: Option<IpAddr>, secret: Option<&str>) {
        counter!(names::AUTH_FAILURES, "door" => door.as_str(), "outcome" => "refused")
            .increment(1);
        let (Some(limiter), Some(addr)) = (&self.limiter, addr) else {
            return;
        };
        if let Some(secret) = secret {
            self.known.forget(secret);
        }
        if limiter.len() > PEERS_MAX {
            limiter.retain_recent();
        }
        let peer = (door, network(addr));
        let Err(not_until) = limiter.check_key(&peer) else {
            return;
        };
        let now = self.clock.now();
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() > PEERS_MAX {
            refused.retain(|_, until| *until > now);
        }
        refused.insert(peer, not_until.earliest_possible());
    }

    /// Remembers a secret that proved good.
    pub(crate) fn proved(&self, secret: &str) {
        if self.limiter.is_some() {
            self.known.learn(secret);
        }
    }
}

/// The address as limits count it: an IPv6 network of 64 bits is one.
pub(crate) fn network(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(addr) => {
            let bits = u128::from(addr) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Hashes of secrets that proved good, of two generations. A secret is checked all the same: whoever meets a hash by chance
/// is only listened to.
#[derive(Default)]
struct Known {
    hasher: RandomState,
    generations: Mutex<(HashSet<u64>, HashSet<u64>)>,
}

impl Known {
    fn has(&self, secret: &str) -> bool {
        let hash = self.hasher.hash_one(secret);
        let generations = self.generations.lock();
        let (young, old) = &*generations.unwrap_or_else(PoisonError::into_inner);
        young.contains(&hash) || old.contains(&hash)
    }

    fn learn(&self, secret: &str) {
        let hash = self.hasher.hash_one(secret);
        let generations = self.generations.lock();
        let (young, old) = &mut *generations.unwrap_or_else(PoisonError::into_inner);
        if young.len() >= KNOWN_MAX && !young.contains(&hash) {
            *old = std::mem::take(young);
        }
        young.insert(hash);
    }

    fn forget(&self, secret: &str) {
        let hash = self.hasher.hash_one(secret);
        let generations = self.generations.lock();
        let (young, old) = &mut *generations.unwrap_or_else(PoisonError::into_inner);
        young.remove(&hash);
        old.remove(&hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: Option<IpAddr> =
        Some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1)));
    const NEIGHBOUR: Option<IpAddr> =
        Some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9)));
    const OTHER: Option<IpAddr> = Some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1)));

    fn slow() -> Failures {
        Failures::new(Quota {
            calls_per_second: 1,
            burst: 3,
        })
    }

    /// However slow the machine is: one a second is less than it can fail.
    fn fail_until_unheard(failures: &Failures) -> Duration {
        let wait = (0..100_000).find_map(|_| {
            failures.failed(Door::Call, STRANGER, Some("wrong"));
            failures.admit(Door::Call, STRANGER, Some("wrong")).err()
        });
        wait.unwrap()
    }

    #[test]
    fn who_fails_too_often_is_not_heard_and_nobody_else_notices() {
        let failures = slow();
        failures.proved("good");
        for _ in 0..3 {
            failures.failed(Door::Call, STRANGER, Some("wrong"));
            assert!(failures.admit(Door::Call, STRANGER, Some("wrong")).is_ok());
        }
        assert!(fail_until_unheard(&failures) <= Duration::from_secs(1));
        assert!(failures.admit(Door::Call, OTHER, Some("wrong")).is_ok());
        assert!(failures.admit(Door::Webhook, STRANGER, None).is_ok());
        // From the same place, with a secret that proved good before.
        assert!(failures.admit(Door::Call, STRANGER, Some("good")).is_ok());
    }

    #[test]
    fn a_network_is_one_peer_and_a_secret_that_fails_is_known_no_more() {
        let failures = slow();
        failures.proved("good");
        // The limit of a second may come back in between: then it is used up again.
        let unheard = |addr, secret| {
            (0..100_000).any(|_| {
                fail_until_unheard(&failures);
                failures.admit(Door::Call, addr, Some(secret)).is_err()
            })
        };
        assert!(unheard(NEIGHBOUR, "wrong"));
        failures.failed(Door::Call, OTHER, Some("good"));
        assert!(unheard(STRANGER, "good"));
    }

    #[test]
    fn without_a_limit_or_an_address_all_are_heard() {
        let none = Failures::new(Quota {
            calls_per_second: 0,
            burst: 0,
        });
        for _ in 0..1_000 {
            none.failed(Door::Call, STRANGER, None);
            assert!(none.admit(Door::Call, STRANGER, None).is_ok());
        }
        let failures = slow();
        for _ in 0..1_000 {
            failures.failed(Door::Call, None, None);
            assert!(failures.admit(Door::Call, None, None).is_ok());
        }
    }
}
