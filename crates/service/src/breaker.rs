//! A circuit breaker: a peer that has failed many times in a row is left alone for a moment.
//!
//! It saves the caller its deadline, and the peer a crowd while it comes back. After the pause one call goes through; its
//! answer decides for all. Pure but for the lock: the time comes from outside.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: Mutex<State>,
    failures_max: u32,
    pause: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// Failures in a row.
    failures: u32,
    /// No call before this moment.
    closed_until: Option<Instant>,
    /// The one call after the pause is on its way.
    is_probing: bool,
}

/// What a report changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing.
    Same,
    /// The peer is left alone from now on.
    Tripped,
    /// The peer is back.
    Back,
}

impl Breaker {
    /// Trips after so many failures in a row, each time for this long.
    pub(crate) fn new(failures_max: u32, pause: Duration) -> Self {
        Self {
            state: Mutex::default(),
            failures_max,
            pause,
        }
    }

    /// Whether a call may go through now. One that may must be reported.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let Some(until) = state.closed_until else {
            return true;
        };
        if now < until || state.is_probing {
            return false;
        }
        state.is_probing = true;
        true
    }

    /// What came of a call: whether the peer answered.
    pub(crate) fn report(&self, answered: bool, now: Instant) -> Turn {
        let mut state = self.lock();
        let was_tripped = state.closed_until.is_some();
        if answered {
            *state = State::default();
            return if was_tripped { Turn::Back } else { Turn::Same };
        }
        state.failures = state.failures.saturating_add(1);
        state.is_probing = false;
        if state.failures < self.failures_max {
            return Turn::Same;
        }
        state.closed_until = Some(now + self.pause);
        if was_tripped {
            Turn::Same
        } else {
            Turn::Tripped
        }
    }

    /// A call that was given up before anything could be told of the peer.
    pub(crate) fn forget(&self) {
        self.lock().is_probing = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    #[test]
    fn it_trips_after_failures_in_a_row_and_one_call_decides_for_all() {
        let breaker = Breaker::new(3, PAUSE);
        let start = Instant::now();
        for answered in [false, false, true, false, false] {
            assert!(breaker.admits(start));
            assert_eq!(breaker.report(answered, start), Turn::Same);
        }
        assert_eq!(breaker.report(false, start), Turn::Tripped);
        assert!(!breaker.admits(start + PAUSE / 2));

        let later = start + PAUSE;
        assert!(breaker.admits(later), "one looks");
        assert!(!breaker.admits(later), "the others wait for it");
        assert_eq!(breaker.report(false, later), Turn::Same);
        assert!(!breaker.admits(later + PAUSE / 2), "another pause");

        assert!(breaker.admits(later + PAUSE));
        assert_eq!(breaker.report(true, later + PAUSE), Turn::Back);
        assert!(breaker.admits(later + PAUSE) && breaker.admits(later + PAUSE));
    }

    #[test]
    fn a_look_that_was_given_up_leaves_room_for_another() {
        let breaker = Breaker::new(1, PAUSE);
        let start = Instant::now();
        breaker.report(false, start);
        assert!(breaker.admits(start + PAUSE));
        breaker.forget();
        assert!(breaker.admits(start + PAUSE));
    }

    #[test]
    fn calls_that_were_on_their_way_when_it_tripped_do_not_trip_it_again() {
        let breaker = Breaker::new(1, PAUSE);
        let start = Instant::now();
        assert_eq!(breaker.report(false, start), Turn::Tripped);
        assert_eq!(breaker.report(false, start), Turn::Same);
        assert_eq!(breaker.report(true, start), Turn::Back);
    }
}
