//! By when what should be done with an order: what the deployment decides.

use serde::Deserialize;
use time::{Duration, OffsetDateTime, Time, UtcOffset};

use crate::domain::order::Order;
use crate::domain::stage::{Promise, deadlines};

/// Deadlines are fixed when an order is placed; a change is for later orders. Times are in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadlinesConfig {
    /// Time zone of `cutoff` and `ship_until`, in minutes east of UTC.
    pub utc_offset_minutes: i32,
    /// Orders placed later, such as `14:00`, count to the next day.
    pub cutoff: String,
    /// Parcels of a day are handed over until then.
    pub ship_until: String,
    /// Saturdays and Sundays count as other days.
    pub weekends: bool,
    /// Days from the day an order counts to until it is handed over, by service level.
    pub days: DaysConfig,
    /// Longest time until stock and payment are there.
    pub authorize_within_ms: u64,
    /// Longest time until fulfillment has it.
    pub release_within_ms: u64,
    /// Time that packing and handing over need before the promise.
    pub pick_before_ms: u64,
    /// How long before its deadline an order is at risk.
    pub at_risk_ms: u64,
    /// Pause between two looks at the backlog for metrics.
    pub gauges_ms: u64,
}

/// Days by service level; 0 is the day that the order counts to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaysConfig {
    /// `SAME_DAY`
    pub same_day: u8,
    /// `OVERNIGHT`
    pub overnight: u8,
    /// `TWO_DAY`
    pub two_day: u8,
    /// `GROUND`
    pub ground: u8,
}

impl DeadlinesConfig {
    /// What types cannot say.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (key, text) in [("cutoff", &self.cutoff), ("ship_until", &self.ship_until)] {
            if time_of_day(text).is_none() {
                return Err(format!(
                    "deadlines.{key}: must be a time of day such as 14:00"
                ));
            }
        }
        if self.offset().is_none() {
            return Err("deadlines.utc_offset_minutes: must be between -1439 and 1439".to_owned());
        }
        let days = &self.days;
        if [days.same_day, days.overnight, days.two_day, days.ground]
            .iter()
            .any(|days| *days > 60)
        {
            return Err("deadlines.days: must be at most 60".to_owned());
        }
        Ok(())
    }

    /// How long before its deadline an order is at risk.
    pub(crate) fn at_risk(&self) -> Duration {
        millis(self.at_risk_ms)
    }

    /// Gives a new order its deadlines; `promised` is a promise that the shop made to the customer.
    pub(crate) fn set(&self, order: &mut Order, promised: Option<OffsetDateTime>) {
        let promise = self.promise(&order.service_level);
        order.deadlines = Some(deadlines(&promise, order.created_at, promised));
    }

    fn promise(&self, service_level: &str) -> Promise {
        let days = &self.days;
        Promise {
            offset: self.offset().unwrap_or(UtcOffset::UTC),
            // Checked at the start.
            cutoff: time_of_day(&self.cutoff).unwrap_or(Time::MIDNIGHT),
            ship_until: time_of_day(&self.ship_until).unwrap_or(Time::MIDNIGHT),
            weekends: self.weekends,
            days: match service_level {
                "SAME_DAY" => days.same_day,
                "OVERNIGHT" => days.overnight,
                "TWO_DAY" => days.two_day,
                _ => days.ground,
            },
            authorize_within: millis(self.authorize_within_ms),
            release_within: millis(self.release_within_ms),
            pick_before: millis(self.pick_before_ms),
        }
    }

    fn offset(&self) -> Option<UtcOffset> {
        let minutes = self.utc_offset_minutes.checked_mul(60)?;
        UtcOffset::from_whole_seconds(minutes)
            .ok()
            .filter(|_| self.utc_offset_minutes.abs() < 24 * 60)
    }
}

fn millis(millis: u64) -> Duration {
    Duration::milliseconds(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// `14:00`
fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    Time::from_hms(hour.parse().ok()?, minute.parse().ok()?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_read() {
        assert_eq!(time_of_day("14:05"), Time::from_hms(14, 5, 0).ok());
        for wrong in ["", "14", "24:00", "14:60", "x:y", "14:00:00"] {
            assert_eq!(time_of_day(wrong), None, "{wrong:?}");
        }
    }
}
