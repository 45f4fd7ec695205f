//! By when what should be done with an order, and how far it is.

use oms_core::OrderId;
use time::{Duration, OffsetDateTime, Time, UtcOffset, Weekday};

use super::order::Order;
use super::state::OrderState;

/// What an open order waits for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    /// Stock and payment.
    Authorize,
    /// Fulfillment orders.
    Release,
    /// The pickers.
    Pick,
    /// The carrier.
    Ship,
}

impl Stage {
    /// All stages, in their order.
    pub(crate) const ALL: [Self; 4] = [Self::Authorize, Self::Release, Self::Pick, Self::Ship];

    /// The name that the database uses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Authorize => "AUTHORIZE",
            Self::Release => "RELEASE",
            Self::Pick => "PICK",
            Self::Ship => "SHIP",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }
}

/// By when each stage of an order should be done; fixed when it is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadlines {
    /// Stock allocated and payment authorized.
    pub(crate) authorize_by: OffsetDateTime,
    /// With fulfillment.
    pub(crate) release_by: OffsetDateTime,
    /// Every unit picked.
    pub(crate) pick_by: OffsetDateTime,
    /// Every unit handed over: the promise.
    pub(crate) ship_by: OffsetDateTime,
}

impl Deadlines {
    /// The deadline of a stage.
    pub(crate) fn of(&self, stage: Stage) -> OffsetDateTime {
        match stage {
            Stage::Authorize => self.authorize_by,
            Stage::Release => self.release_by,
            Stage::Pick => self.pick_by,
            Stage::Ship => self.ship_by,
        }
    }
}

/// What deadlines follow from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promise {
    /// Time zone of the times of day.
    pub(crate) offset: UtcOffset,
    /// Orders placed later count to the next day.
    pub(crate) cutoff: Time,
    /// Parcels of a day are handed over until then.
    pub(crate) ship_until: Time,
    /// Saturdays and Sundays count as other days.
    pub(crate) weekends: bool,
    /// Days from the day an order counts to until it is handed over.
    pub(crate) days: u8,
    /// Longest time until stock and payment are there.
    pub(crate) authorize_within: Duration,
    /// Longest time until fulfillment has it.
    pub(crate) release_within: Duration,
    /// Time that packing and handing over need before the promise.
    pub(crate) pick_before: Duration,
}

/// The deadlines of an order placed now; `promised` is a promise that the shop made to the customer.
pub(crate) fn deadlines(
    promise: &Promise,
    placed_at: OffsetDateTime,
    promised: Option<OffsetDateTime>,
) -> Deadlines {
    let ship_by = promised.unwrap_or_else(|| ship_by(promise, placed_at));
    // A promise that is near leaves less time for everything before it.
    let before = |wanted: OffsetDateTime| wanted.min(ship_by);
    Deadlines {
        authorize_by: before(placed_at.saturating_add(promise.authorize_within)),
        release_by: before(placed_at.saturating_add(promise.release_within)),
        pick_by: ship_by
            .saturating_sub(promise.pick_before)
            .max(placed_at)
            .min(ship_by),
        ship_by,
    }
}

fn ship_by(promise: &Promise, placed_at: OffsetDateTime) -> OffsetDateTime {
    let local = placed_at.to_offset(promise.offset);
    let works = |day: time::Date| {
        promise.weekends || !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
    };
    let mut day = local.date();
    // What comes too late for its day is the first of the next one.
    let mut days = u32::from(promise.days);
    if works(day) && local.time() >= promise.cutoff {
        days += 1;
    }
    while days > 0 || !works(day) {
        let Some(next) = day.next_day() else {
            break;
        };
        if works(day) {
            days = days.saturating_sub(1);
        }
        day = next;
    }
    day.with_time(promise.ship_until)
        .assume_offset(promise.offset)
}

/// An open order and what it waits for.
#[derive(Debug, Clone)]
pub(crate) struct AtRisk {
    /// Order.
    pub(crate) order_id: OrderId,
    /// Its number for people.
    pub(crate) order_number: String,
    /// Its channel.
    pub(crate) channel_id: String,
    /// What it waits for.
    pub(crate) stage: Stage,
    /// Since when.
    pub(crate) since: OffsetDateTime,
    /// Until when that should be done.
    pub(crate) due: OffsetDateTime,
    /// The promise.
    pub(crate) ship_by: OffsetDateTime,
}

/// Open orders that wait for the same.
#[derive(Debug, Clone)]
pub(crate) struct Backlog {
    /// What they wait for.
    pub(crate) stage: Stage,
    /// Location that works on them; empty when none does.
    pub(crate) location_id: String,
    /// How many.
    pub(crate) orders: i64,
    /// Those that are late or soon will be.
    pub(crate) at_risk: i64,
    /// Those that are late.
    pub(crate) late: i64,
    /// Since when the one waits that waits longest.
    pub(crate) oldest: OffsetDateTime,
}

/// What the order waits for; `None` when nothing more is to be shipped.
pub(crate) fn stage(order: &Order) -> Option<Stage> {
    match order.state {
        OrderState::Pending => return Some(Stage::Authorize),
        OrderState::Confirmed => {}
        OrderState::Completed
        | OrderState::Rejected
        | OrderState::Canceled
        | OrderState::Expired => return None,
    }
    let mut open = order.lines.iter().filter(|line| line.open() > 0).peekable();
    open.peek()?;
    if order.fulfillment_order_ids.is_empty() {
        return Some(Stage::Release);
    }
    let is_picked = open.all(|line| line.counters.picked >= line.live());
    Some(if is_picked { Stage::Ship } else { Stage::Pick })
}

#[cfg(test)]
mod tests {
    use time::macros::{datetime, time};

    use super::*;

    fn promise(days: u8) -> Promise {
        Promise {
            offset: UtcOffset::UTC,
            cutoff: time!(14:00),
            ship_until: time!(18:00),
            weekends: false,
            days,
            authorize_within: Duration::minutes(15),
            release_within: Duration::hours(1),
            pick_before: Duration::hours(2),
        }
    }

    fn shipped(promise: &Promise, placed_at: OffsetDateTime) -> OffsetDateTime {
        deadlines(promise, placed_at, None).ship_by
    }

    #[test]
    fn the_promise_follows_cutoff_days_and_weekends() {
        // 2026-11-27 is a Friday.
        let cases = [
            (
                0,
                datetime!(2026-11-26 13:59 UTC),
                datetime!(2026-11-26 18:00 UTC),
            ),
            (
                0,
                datetime!(2026-11-26 14:00 UTC),
                datetime!(2026-11-27 18:00 UTC),
            ),
            (
                0,
                datetime!(2026-11-27 14:00 UTC),
                datetime!(2026-11-30 18:00 UTC),
            ),
            (
                0,
                datetime!(2026-11-28 09:00 UTC),
                datetime!(2026-11-30 18:00 UTC),
            ),
            (
                1,
                datetime!(2026-11-26 09:00 UTC),
                datetime!(2026-11-27 18:00 UTC),
            ),
            (
                1,
                datetime!(2026-11-27 09:00 UTC),
                datetime!(2026-11-30 18:00 UTC),
            ),
            (
                1,
                datetime!(2026-11-27 15:00 UTC),
                datetime!(2026-12-01 18:00 UTC),
            ),
            (
                1,
                datetime!(2026-11-29 23:00 UTC),
                datetime!(2026-12-01 18:00 UTC),
            ),
        ];
        for (days, placed, expected) in cases {
            assert_eq!(
                shipped(&promise(days), placed),
                expected,
                "{days} days after {placed}"
            );
        }
        let every_day = Promise {
            weekends: true,
            ..promise(1)
        };
        let friday = datetime!(2026-11-27 15:00 UTC);
        assert_eq!(shipped(&every_day, friday), datetime!(2026-11-29 18:00 UTC));
    }

    #[test]
    fn days_are_those_of_the_time_zone() {
        let tokyo = Promise {
            offset: UtcOffset::from_hms(9, 0, 0).unwrap(),
            ..promise(0)
        };
        // Six in the evening there is nine in the morning UTC; it is the next day already.
        let placed = datetime!(2026-11-24 16:00 UTC);
        assert_eq!(shipped(&tokyo, placed), datetime!(2026-11-25 09:00 UTC));
    }

    #[test]
    fn no_stage_is_due_after_the_promise_and_picking_comes_before_it() {
        let placed = datetime!(2026-11-26 09:00 UTC);
        let usual = deadlines(&promise(0), placed, None);
        assert_eq!(usual.of(Stage::Authorize), datetime!(2026-11-26 09:15 UTC));
        assert_eq!(usual.of(Stage::Release), datetime!(2026-11-26 10:00 UTC));
        assert_eq!(usual.of(Stage::Pick), datetime!(2026-11-26 16:00 UTC));
        assert_eq!(usual.of(Stage::Ship), datetime!(2026-11-26 18:00 UTC));
        let near = datetime!(2026-11-26 09:10 UTC);
        let near = deadlines(&promise(0), placed, Some(near));
        for stage in Stage::ALL {
            assert!(near.of(stage) <= near.ship_by, "{stage:?}");
        }
        assert_eq!(near.pick_by, placed);
    }

    #[test]
    fn names_round_trip_and_the_database_knows_them() {
        let sql = include_str!("../../migrations/0010_stages.sql");
        let names = Stage::ALL.map(|stage| format!("'{}'", stage.as_str()));
        assert!(sql.contains(&format!("CHECK (stage IN ('', {}))", names.join(", "))));
        for stage in Stage::ALL {
            assert_eq!(Stage::parse(stage.as_str()), Some(stage));
        }
    }
}
