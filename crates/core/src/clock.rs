//! Where the time comes from.

use time::OffsetDateTime;

/// Tells the time. Everything that needs the time gets one of these, so that tests control it.
pub trait Clock: Send + Sync {
    /// The current instant in UTC, in whole microseconds.
    fn now(&self) -> OffsetDateTime;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> OffsetDateTime {
        let now = OffsetDateTime::now_utc();
        // Postgres keeps microseconds: an instant must be equal to itself after it was stored.
        now.replace_nanosecond(now.microsecond() * 1_000)
            .unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_time_survives_a_store_that_keeps_microseconds() {
        let now = SystemClock.now();
        assert_eq!(now.nanosecond() % 1_000, 0);
        assert!(now.offset().is_utc());
    }
}
