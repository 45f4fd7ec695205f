//! What there is of a SKU, what is to come, and what may be promised of it now and by a date.

use std::collections::BTreeSet;

use oms_core::{ChannelId, LocationId, Sku};
use time::OffsetDateTime;

use super::account::Account;
use super::level::Level;
use super::policy::Policy;

/// Everything that says how much of a SKU may be promised, as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Availability {
    /// SKU.
    pub(crate) sku: Sku,
    /// Number of its last event: rises with every change of what is in here, but for `backordered`.
    pub(crate) version: i64,
    /// Free units over all locations.
    pub(crate) available: i64,
    /// Levels of the locations that were asked for, and of those with rules of their own.
    pub(crate) levels: Vec<Level>,
    /// Its policy.
    pub(crate) policy: Policy,
    /// Supply that is still to come.
    pub(crate) supplies: Vec<Supply>,
    /// Units of demand that waits; 0 when it was not asked for.
    pub(crate) backordered: i64,
    /// Its components when it is a kit, which has no stock of its own; else none.
    pub(crate) parts: Vec<Component>,
}

/// A component of a kit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    /// Units in one kit, above zero.
    pub(crate) quantity: i64,
    /// What there is of it.
    pub(crate) stock: Availability,
}

/// Supply that is still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Supply {
    /// Where to.
    pub(crate) location: LocationId,
    /// From when on it can be promised; past that, it is overdue.
    pub(crate) expected_at: OffsetDateTime,
    /// Units, above zero.
    pub(crate) units: i64,
}

/// Some locations of a SKU, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    /// All buckets.
    pub(crate) on_hand: i64,
    /// Free units.
    pub(crate) available: i64,
    /// What the SKU and these locations keep back, as their rules say.
    pub(crate) safety_stock: i64,
    /// What the channel is not offered.
    pub(crate) buffer: i64,
    /// What an order of the channel could take from these locations now.
    pub(crate) available_to_promise: i64,
    /// What is expected at these locations.
    pub(crate) incoming: i64,
}

/// When how much can be promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Promise {
    /// Units that can be promised now.
    pub(crate) now: i64,
    /// Units that can be promised at each time asked for.
    pub(crate) at: Vec<i64>,
    /// The earliest time at which all that was asked for can be promised.
    pub(crate) earliest: Option<OffsetDateTime>,
    /// Units that are overdue and counted nowhere.
    pub(crate) overdue: i64,
}

/// Locations that were asked for; `None` for all.
pub(crate) type Asked<'a> = Option<&'a BTreeSet<LocationId>>;

fn is_asked(locations: Asked<'_>, location: &LocationId) -> bool {
    locations.is_none_or(|asked| asked.contains(location))
}

impl Availability {
    /// Levels of these locations.
    pub(crate) fn levels_at<'a>(&'a self, locations: Asked<'a>) -> impl Iterator<Item = &'a Level> {
        self.levels
            .iter()
            .filter(move |level| is_asked(locations, &level.key.location))
    }

    /// Sums these locations up for an order of the channel.
    pub(crate) fn totals(&self, locations: Asked<'_>, channel: Option<&ChannelId>) -> Totals {
        if self.is_kit() {
            return self.kit_totals(locations, channel);
        }
        let levels = || self.levels_at(locations);
        let places: BTreeSet<&LocationId> = levels().map(|level| &level.key.location).collect();
        let from_here = places
            .into_iter()
            .map(|location| self.policy.free_at(location, self.available_at(location)))
            .fold(0, i64::saturating_add);
        let promisable = self
            .policy
            .promisable(self.available, |location| self.available_at(location));
        let kept = self.policy.locations.iter();
        Totals {
            on_hand: sum(levels().map(|level| level.buckets.on_hand())),
            available: sum(levels().map(|level| level.buckets.get(Account::Available))),
            safety_stock: kept
                .filter(|(location, _)| is_asked(locations, location))
                .map(|(_, rule)| rule.safety_stock)
                .fold(self.policy.safety_stock, i64::saturating_add),
            buffer: self.policy.buffer(channel),
            available_to_promise: self.policy.offered(promisable, channel).min(from_here),
            incoming: sum(self
                .supplies
                .iter()
                .filter(|supply| is_asked(locations, &supply.location))
                .map(|supply| supply.units)),
        }
    }

    /// When `quantity` units can be promised to an order of the channel, and how many at each of these times. Needs the
    /// levels of all locations.
    pub(crate) fn promise(
        &self,
        quantity: i64,
        channel: Option<&ChannelId>,
        times: &[OffsetDateTime],
        now: OffsetDateTime,
    ) -> Promise {
        let at = |time| {
            if self.is_kit() {
                return self.kits_promised_by(time, now, channel);
            }
            self.promised_by(time, now, channel)
        };
        // What can be promised only rises when supply comes, so no other times have to be looked at.
        let parts = self.parts.iter().flat_map(|part| &part.stock.supplies);
        let arrivals: BTreeSet<OffsetDateTime> = self
            .supplies
            .iter()
            .chain(parts)
            .map(|supply| supply.expected_at)
            .collect();
        let later = arrivals.into_iter().filter(|time| *time > now);
        let overdue = self
            .supplies
            .iter()
            .filter(|supply| supply.expected_at <= now);
        Promise {
            now: at(now),
            at: times.iter().map(|time| at(*time)).collect(),
            earliest: [now]
                .into_iter()
                .chain(later)
                .find(|time| at(*time) >= quantity),
            overdue: sum(overdue.map(|supply| supply.units)),
        }
    }

    /// Units that can be promised at a time: what is free now and what comes until then, less what is kept back of it,
    /// less the demand that waits. What should have come and has not counts as if it never came.
    fn promised_by(
        &self,
        time: OffsetDateTime,
        now: OffsetDateTime,
        channel: Option<&ChannelId>,
    ) -> i64 {
        let comes = || {
            let supplies = self.supplies.iter();
            supplies.filter(|supply| now < supply.expected_at && supply.expected_at <= time)
        };
        let available = self
            .available
            .saturating_add(sum(comes().map(|supply| supply.units)));
        let promisable = self.policy.promisable(available, |location| {
            let here = comes().filter(|supply| supply.location == *location);
            self.available_at(location)
                .saturating_add(sum(here.map(|supply| supply.units)))
        });
        self.policy
            .offered(promisable.saturating_sub(self.backordered), channel)
    }

    /// Free units at a location, all lots together.
    fn available_at(&self, location: &LocationId) -> i64 {
        let here = self
            .levels
            .iter()
            .filter(|level| level.key.location == *location);
        sum(here.map(|level| level.buckets.get(Account::Available)))
    }
}

/// Kits: sold as one, on the shelf as several. A kit is taken whole from one location.
impl Availability {
    /// Whether it is a kit.
    pub(crate) fn is_kit(&self) -> bool {
        !self.parts.is_empty()
    }

    fn kit_totals(&self, locations: Asked<'_>, channel: Option<&ChannelId>) -> Totals {
        let offered = self.parts.iter().map(|part| {
            let alone = part.stock.totals(locations, channel);
            alone.available_to_promise / part.quantity
        });
        let free = |stock: &Self, location: &LocationId| stock.available_at(location);
        let from_here = |stock: &Self, location: &LocationId| {
            stock.policy.free_at(location, stock.available_at(location))
        };
        let whole = self.whole_kits(locations, from_here);
        Totals {
            on_hand: 0,
            available: self.whole_kits(locations, free),
            safety_stock: 0,
            buffer: 0,
            available_to_promise: offered.fold(whole, i64::min),
            incoming: 0,
        }
    }

    /// Kits that can be promised at a time: no more than any component allows by itself, and no more than can be put
    /// together where all of them are.
    fn kits_promised_by(
        &self,
        time: OffsetDateTime,
        now: OffsetDateTime,
        channel: Option<&ChannelId>,
    ) -> i64 {
        let alone = self.parts.iter().map(|part| {
            let promised = part.stock.promised_by(time, now, channel);
            promised / part.quantity
        });
        let whole = self.whole_kits(None, |stock, location| {
            let comes = stock.supplies.iter().filter(|supply| {
                supply.location == *location
                    && now < supply.expected_at
                    && supply.expected_at <= time
            });
            let comes = sum(comes.map(|supply| supply.units));
            let there = stock.available_at(location).saturating_add(comes);
            stock.policy.free_at(location, there)
        });
        alone.fold(whole, i64::min)
    }

    /// Kits that can be put together location by location, of so many units of each component there.
    fn whole_kits(&self, locations: Asked<'_>, units: impl Fn(&Self, &LocationId) -> i64) -> i64 {
        let parts = || self.parts.iter().map(|part| &part.stock);
        let stands = parts()
            .flat_map(|stock| &stock.levels)
            .map(|level| &level.key.location);
        let comes = parts()
            .flat_map(|stock| &stock.supplies)
            .map(|supply| &supply.location);
        let places: BTreeSet<&LocationId> = stands
            .chain(comes)
            .filter(|location| is_asked(locations, location))
            .collect();
        let kits_at = |location: &LocationId| {
            let each = self.parts.iter();
            each.map(|part| units(&part.stock, location) / part.quantity)
                .min()
                .unwrap_or(0)
        };
        sum(places.into_iter().map(kits_at))
    }
}

fn sum(units: impl Iterator<Item = i64>) -> i64 {
    units.fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;
    use crate::domain::level::{Buckets, LevelKey};
    use crate::domain::policy::{ChannelRule, LocationRule};

    const NODES: [&str; 3] = ["x", "y", "z"];

    fn node(n: usize) -> LocationId {
        NODES[n].parse().unwrap()
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH
    }

    fn days(n: i64) -> OffsetDateTime {
        now() + Duration::days(n)
    }

    fn web() -> ChannelId {
        "web".parse().unwrap()
    }

    fn sku() -> Sku {
        "A".parse().unwrap()
    }

    fn availability(free: &[(usize, i64)], supplies: &[(usize, i64, i64)]) -> Availability {
        let level = |(at, units): &(usize, i64)| Level {
            key: LevelKey {
                sku: sku(),
                location: node(*at),
                lot: String::new(),
            },
            buckets: Buckets([*units, 1, 0, 0, 0, 0, 0, 0]),
        };
        let supply = |(at, day, units): &(usize, i64, i64)| Supply {
            location: node(*at),
            expected_at: days(*day),
            units: *units,
        };
        Availability {
            sku: sku(),
            version: 1,
            available: free.iter().map(|(_, units)| units).sum(),
            levels: free.iter().map(level).collect(),
            policy: Policy::default(),
            supplies: supplies.iter().map(supply).collect(),
            backordered: 0,
            parts: Vec::new(),
        }
    }

    fn rules(safety_stock: i64, at_x: i64, buffer: i64) -> Policy {
        let rule = LocationRule {
            safety_stock: at_x,
            low_stock_threshold: 0,
        };
        let channel = ChannelRule {
            buffer,
            share_percent: 100,
        };
        Policy {
            safety_stock,
            low_stock_threshold: 0,
            locations: [(node(0), rule)].into(),
            channels: [(web(), channel)].into(),
        }
    }

    #[test]
    fn totals_of_some_locations_count_what_an_order_could_take_from_them() {
        let mut stock = availability(&[(0, 10), (1, 20)], &[(1, 2, 5), (0, -1, 3)]);
        stock.policy = rules(4, 2, 3);
        let all = stock.totals(None, Some(&web()));
        let expected = Totals {
            on_hand: 32,
            available: 30,
            safety_stock: 6,
            buffer: 3,
            available_to_promise: 21,
            incoming: 8,
        };
        assert_eq!(all, expected);
        let x: BTreeSet<LocationId> = [node(0)].into();
        let at_x = stock.totals(Some(&x), Some(&web()));
        assert_eq!(
            (at_x.available, at_x.available_to_promise, at_x.incoming),
            (10, 8, 3)
        );
        let y: BTreeSet<LocationId> = [node(1)].into();
        let at_y = stock.totals(Some(&y), None);
        assert_eq!((at_y.safety_stock, at_y.available_to_promise), (4, 20));
    }

    #[test]
    fn supply_counts_from_its_date_and_demand_that_waits_goes_first() {
        let mut stock = availability(&[(0, 3)], &[(0, 2, 10), (1, 5, 10), (1, -1, 100)]);
        stock.backordered = 4;
        let promise = stock.promise(12, None, &[days(1), days(2), days(9)], now());
        assert_eq!((promise.now, &*promise.at), (0, &[0, 9, 19][..]));
        assert_eq!((promise.earliest, promise.overdue), (Some(days(5)), 100));
        assert_eq!(stock.promise(20, None, &[], now()).earliest, None);
        stock.backordered = 0;
        assert_eq!(stock.promise(3, None, &[], now()).earliest, Some(now()));
    }

    #[test]
    fn supply_fills_the_safety_stock_first() {
        let mut stock = availability(&[(0, 1)], &[(0, 1, 5), (1, 2, 5)]);
        stock.policy = rules(2, 4, 1);
        let promise = stock.promise(1, Some(&web()), &[days(1), days(2)], now());
        // Day 1: 6 at x, of which 4 stay there, 2 for the SKU. Day 2: 5 more, 1 of them not for the channel.
        assert_eq!((promise.now, &*promise.at), (0, &[0, 4][..]));
        assert_eq!(promise.earliest, Some(days(2)));
    }

    fn any_stock() -> impl Strategy<Value = Availability> {
        let free = prop::collection::vec((0..3_usize, 0..20_i64), 0..3);
        let supplies = prop::collection::vec((0..3_usize, -2..6_i64, 1..20_i64), 0..6);
        let policy = (0..10_i64, 0..10_i64, 0..10_i64);
        (free, supplies, policy, 0..15_i64).prop_map(|(free, supplies, policy, backordered)| {
            let mut stock = availability(&free, &supplies);
            stock.policy = rules(policy.0, policy.1, policy.2);
            stock.backordered = backordered;
            stock
        })
    }

    proptest! {
        #[test]
        fn later_never_promises_less_and_never_more_than_comes(stock in any_stock()) {
            let times: Vec<OffsetDateTime> = (-1..7).map(days).collect();
            let promise = stock.promise(1, Some(&web()), &times, now());
            prop_assert!(promise.at.is_sorted());
            prop_assert_eq!(promise.at.first(), Some(&promise.now));
            let comes: i64 = stock.supplies.iter().map(|supply| supply.units).sum();
            let most = (stock.available + comes - promise.overdue - stock.backordered).max(0);
            prop_assert!(promise.at.last().is_some_and(|units| *units <= most));
        }

        #[test]
        fn the_earliest_time_is_the_first_that_covers_it(stock in any_stock(), quantity in 1..40_i64) {
            let promise = stock.promise(quantity, None, &[], now());
            let covers = |time| stock.promise(quantity, None, &[time], now()).at[0] >= quantity;
            match promise.earliest {
                Some(time) => {
                    prop_assert!(covers(time));
                    prop_assert!(time == now() || !covers(time - Duration::SECOND));
                }
                None => prop_assert!(!covers(days(99))),
            }
        }

        #[test]
        fn locations_apart_never_promise_more_than_together(stock in any_stock()) {
            let together = stock.totals(None, Some(&web())).available_to_promise;
            for n in 0..3 {
                let one: BTreeSet<LocationId> = [node(n)].into();
                prop_assert!(stock.totals(Some(&one), Some(&web())).available_to_promise <= together);
            }
        }
    }

    #[test]
    fn a_kit_is_promised_where_and_when_all_of_it_is() {
        let part = |quantity, stock| Component { quantity, stock };
        let mut kit = availability(&[], &[]);
        // At x: 4 of the one, and of the other 3 now and 4 on the second day. At y there is nothing of the one.
        kit.parts = vec![
            part(1, availability(&[(0, 4)], &[])),
            part(2, availability(&[(0, 3), (1, 9)], &[(0, 2, 4), (1, 1, 8)])),
        ];
        let promise = kit.promise(3, None, &[days(1), days(2)], now());
        assert_eq!((promise.now, promise.at), (1, vec![1, 3]));
        assert_eq!(promise.earliest, Some(days(2)));
        // What a component keeps back is not there for the kit.
        kit.parts[0].stock.policy = rules(0, 3, 0);
        let totals = kit.totals(None, Some(&web()));
        assert_eq!((totals.available, totals.available_to_promise), (1, 1));
        kit.parts[0].stock.policy = rules(4, 0, 0);
        assert_eq!(kit.totals(None, None).available_to_promise, 0);
    }
}
