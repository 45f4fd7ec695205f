use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oms_core::Clock;
use time::OffsetDateTime;
use time::macros::datetime;

/// A clock that stands still until a test moves it. Clones show the same time.
#[derive(Debug, Clone)]
pub struct MockClock {
    now: Arc<Mutex<OffsetDateTime>>,
}

impl MockClock {
    /// 2026-01-15 12:00 UTC, a Thursday.
    pub fn new() -> Self {
        Self::at(datetime!(2026-01-15 12:00 UTC))
    }

    /// Starts at this instant, cut to microseconds as Postgres keeps it.
    pub fn at(start: OffsetDateTime) -> Self {
        Self {
            now: Arc::new(Mutex::new(whole_microseconds(start))),
        }
    }

    /// Moves the clock to this instant, back or forth.
    pub fn set(&self, instant: OffsetDateTime) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = whole_microseconds(instant);
    }

    /// Moves the clock forward and returns the new time.
    pub fn advance(&self, by: Duration) -> OffsetDateTime {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = whole_microseconds(*now + by);
        *now
    }
}

impl Default for MockClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for MockClock {
    fn now(&self) -> OffsetDateTime {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole_microseconds(instant: OffsetDateTime) -> OffsetDateTime {
    let cut = instant.replace_nanosecond(instant.microsecond() * 1_000);
    cut.unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_until_it_is_moved() {
        let clock = MockClock::new();
        let shown_elsewhere = clock.clone();
        let start = clock.now();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_nanos(2_500));
        assert_eq!(shown_elsewhere.now() - start, Duration::from_micros(2));
        clock.set(start - Duration::from_hours(1));
        assert!(shown_elsewhere.now() < start);
    }
}
