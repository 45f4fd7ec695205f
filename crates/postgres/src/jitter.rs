//! Spreads waits, so that many waiters do not come back at the same moment.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A wait between half of `wait` and all of it.
pub(crate) fn of(wait: Duration) -> Duration {
    // Every RandomState has other keys; hashing anything with them gives the few random bits that
    // spreading waits needs, without a dependency.
    let bits = RandomState::new().hash_one(0_u8) >> 48;
    let share = f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(u32::from(u16::MAX));
    wait.mul_f64(0.5 + 0.5 * share.clamp(0.0, 1.0))
}

/// The wait before attempt `failures + 1`: doubles from `first` up to `most`, spread.
pub(crate) fn backoff(first: Duration, most: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(30);
    of(first.saturating_mul(1 << doublings).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_to_its_cap_within_the_spread() {
        let first = Duration::from_millis(100);
        let most = Duration::from_secs(1);
        for (failures, whole_ms) in [(1, 100), (2, 200), (4, 800), (5, 1_000), (90, 1_000)] {
            let wait = backoff(first, most, failures);
            assert!(
                wait <= Duration::from_millis(whole_ms),
                "{failures}: {wait:?}"
            );
            assert!(
                wait >= Duration::from_millis(whole_ms / 2),
                "{failures}: {wait:?}"
            );
        }
    }
}
