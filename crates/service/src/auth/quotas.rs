//! How often each caller may call.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota as Rate, RateLimiter};
use oms_core::Principal;

use super::config::Quota;

type Limiter = RateLimiter<Principal, HashMapStateStore<Principal>, DefaultClock>;

/// Callers that are remembered before those that have their whole quota again are forgotten.
const CALLERS_MAX: usize = 10_000;

/// The quotas in use, each with its callers.
#[derive(Default)]
pub(crate) struct Quotas(Mutex<HashMap<Quota, Arc<Limiter>>>);

impl Quotas {
    /// Counts a call. The error is the time after which the next may come.
    pub(crate) fn take(&self, quota: Quota, caller: &Principal) -> Result<(), Duration> {
        let Some(limiter) = self.limiter(quota) else {
            return Ok(());
        };
        if limiter.len() > CALLERS_MAX {
            limiter.retain_recent();
        }
        let counted = limiter.check_key(caller);
        counted.map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    /// `None` without a limit. There are as many as there are different quotas in the configuration.
    fn limiter(&self, quota: Quota) -> Option<Arc<Limiter>> {
        let rate = NonZeroU32::new(quota.calls_per_second)?;
        let burst = NonZeroU32::new(quota.burst)?;
        let mut limiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limiter = limiters.entry(quota).or_insert_with(|| {
            Arc::new(RateLimiter::hashmap(
                Rate::per_second(rate).allow_burst(burst),
            ))
        });
        Some(Arc::clone(limiter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_quota_of_its_own() {
        let quotas = Quotas::default();
        let slow = Quota {
            calls_per_second: 1,
            burst: 3,
        };
        let [acme, other] = ["partner:acme", "partner:other"].map(|name| name.parse().unwrap());
        assert!((0..3).all(|_| quotas.take(slow, &acme).is_ok()));
        // However slow the machine is: one a second is less than it can ask for.
        let refused = (0..100_000).find_map(|_| quotas.take(slow, &acme).err());
        assert!(refused.unwrap() <= Duration::from_secs(1));
        assert_eq!(quotas.take(slow, &other), Ok(()));
        let none = Quota {
            calls_per_second: 0,
            burst: 0,
        };
        assert!((0..100).all(|_| quotas.take(none, &acme).is_ok()));
    }
}
