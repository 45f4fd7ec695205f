//! What of the free stock may be promised, and to whom. Policies keep units back; nothing is moved for them.
//!
//! A location promises what is free there beyond its own safety stock. Over all locations the safety stock of the SKU
//! comes off, and for a sales channel its buffer and share.

use std::collections::BTreeMap;

use oms_core::{ChannelId, LocationId, Sku};
use time::OffsetDateTime;

/// Rules of a SKU. Empty, it keeps nothing back and warns of nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Policy {
    /// Units kept back over all locations, on top of what single locations keep back.
    pub(crate) safety_stock: i64,
    /// At or below it, what may be promised is low; 0 for never.
    pub(crate) low_stock_threshold: i64,
    /// Rules of single locations.
    pub(crate) locations: BTreeMap<LocationId, LocationRule>,
    /// Rules of sales channels.
    pub(crate) channels: BTreeMap<ChannelId, ChannelRule>,
}

/// Rule of one location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocationRule {
    /// Units that are not promised from here.
    pub(crate) safety_stock: i64,
    /// At or below it, what may be promised from here is low; 0 for never.
    pub(crate) low_stock_threshold: i64,
}

/// Rule of one sales channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChannelRule {
    /// Units that are not offered to it.
    pub(crate) buffer: i64,
    /// Most of what may be promised that is offered to it, in percent; 1 to 100.
    pub(crate) share_percent: i64,
}

/// The policy of a SKU as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StockPolicy {
    /// SKU.
    pub(crate) sku: Sku,
    /// Its rules.
    pub(crate) policy: Policy,
    /// Version; the etag.
    pub(crate) version: i64,
    /// When it was written.
    pub(crate) updated_at: OffsetDateTime,
}

impl Policy {
    /// Whether it has no say in anything.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Units that a location keeps back.
    pub(crate) fn kept_at(&self, location: &LocationId) -> i64 {
        self.locations
            .get(location)
            .map_or(0, |rule| rule.safety_stock)
    }

    /// Of so many free units at a location, those that may be promised from there.
    pub(crate) fn free_at(&self, location: &LocationId, available: i64) -> i64 {
        available.saturating_sub(self.kept_at(location)).max(0)
    }

    /// Units that may be promised over all locations: of `available` free ones, what no location and not the SKU keeps
    /// back. Below zero when less is free than the SKU keeps back. `at` answers the free units of one location.
    pub(crate) fn promisable(&self, available: i64, at: impl Fn(&LocationId) -> i64) -> i64 {
        let rules = self.locations.iter();
        let kept = rules
            .map(|(location, rule)| at(location).min(rule.safety_stock))
            .fold(self.safety_stock, i64::saturating_add);
        available.saturating_sub(kept)
    }

    /// What an order of the channel is offered of so many units that may be promised; never below zero.
    pub(crate) fn offered(&self, promisable: i64, channel: Option<&ChannelId>) -> i64 {
        let promisable = promisable.max(0);
        let rule = channel.and_then(|channel| self.channels.get(channel));
        let Some(rule) = rule else {
            return promisable;
        };
        // Hundreds and the rest apart, so that nothing overflows.
        let share =
            promisable / 100 * rule.share_percent + promisable % 100 * rule.share_percent / 100;
        promisable.saturating_sub(rule.buffer).clamp(0, share)
    }

    /// Whether it keeps less back somewhere than the one before, so that demand that waits may be served.
    pub(crate) fn loosens(&self, before: &Self) -> bool {
        let mut places = before.locations.iter();
        let mut channels = before.channels.iter();
        self.safety_stock < before.safety_stock
            || places.any(|(location, rule)| self.kept_at(location) < rule.safety_stock)
            || channels.any(|(channel, rule)| match self.channels.get(channel) {
                None => true,
                Some(now) => now.buffer < rule.buffer || now.share_percent > rule.share_percent,
            })
    }

    /// Units that the channel is not offered.
    pub(crate) fn buffer(&self, channel: Option<&ChannelId>) -> i64 {
        let rule = channel.and_then(|channel| self.channels.get(channel));
        rule.map_or(0, |rule| rule.buffer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NODES: [&str; 3] = ["x", "y", "z"];

    fn node(n: usize) -> LocationId {
        NODES[n].parse().unwrap()
    }

    fn web() -> ChannelId {
        "web".parse().unwrap()
    }

    fn policy(safety_stock: i64, nodes: [i64; 3], buffer: i64, share_percent: i64) -> Policy {
        let rules = nodes.into_iter().enumerate().map(|(n, safety_stock)| {
            let rule = LocationRule {
                safety_stock,
                low_stock_threshold: 0,
            };
            (node(n), rule)
        });
        let rule = ChannelRule {
            buffer,
            share_percent,
        };
        Policy {
            safety_stock,
            locations: rules.collect(),
            channels: [(web(), rule)].into(),
            ..Policy::default()
        }
    }

    fn promisable(policy: &Policy, free: [i64; 3]) -> i64 {
        policy.promisable(free.iter().sum(), |location| {
            let place = (0..3).find(|n| node(*n) == *location);
            place.map_or(0, |n| free[n])
        })
    }

    #[test]
    fn without_rules_everything_is_offered() {
        let none = Policy::default();
        assert_eq!(promisable(&none, [3, 4, 0]), 7);
        assert_eq!(none.offered(7, Some(&web())), 7);
        assert_eq!(none.free_at(&node(0), 3), 3);
    }

    #[test]
    fn safety_stock_and_buffer_come_off_and_the_share_caps() {
        let policy = policy(2, [0, 5, 0], 3, 50);
        assert_eq!(promisable(&policy, [10, 10, 0]), 13);
        assert_eq!(
            (policy.offered(13, Some(&web())), policy.offered(13, None)),
            (6, 13)
        );
        assert_eq!(policy.offered(4, Some(&web())), 1);
        assert_eq!(policy.offered(-4, None), 0);
        // A location with less than it keeps back takes nothing from the others.
        assert_eq!(promisable(&policy, [10, 3, 0]), 8);
    }

    #[test]
    fn a_policy_loosens_when_any_rule_does() {
        let before = policy(2, [1, 0, 0], 3, 50);
        assert!(!before.loosens(&before));
        assert!(!policy(9, [1, 9, 0], 9, 10).loosens(&before));
        for looser in [
            policy(1, [9, 9, 9], 9, 10),
            policy(9, [0, 9, 9], 9, 10),
            policy(9, [9, 9, 9], 2, 10),
            policy(9, [9, 9, 9], 9, 51),
            Policy::default(),
        ] {
            assert!(looser.loosens(&before), "{looser:?}");
        }
    }

    #[test]
    fn a_share_of_the_largest_number_does_not_overflow() {
        let all = policy(0, [0; 3], 0, 100);
        assert_eq!(all.offered(i64::MAX, Some(&web())), i64::MAX);
    }

    fn any_policy() -> impl Strategy<Value = Policy> {
        let units = || 0..20_i64;
        (units(), [units(), units(), units()], units(), 1..=100_i64)
            .prop_map(|(safety, nodes, buffer, share)| policy(safety, nodes, buffer, share))
    }

    fn any_free() -> impl Strategy<Value = [i64; 3]> {
        [0..40_i64, 0..40, 0..40]
    }

    proptest! {
        #[test]
        fn what_is_offered_is_there_and_leaves_what_is_kept_back(policy in any_policy(), free in any_free()) {
            let total: i64 = free.iter().sum();
            let promisable = promisable(&policy, free);
            let open: i64 = (0..3).map(|n| policy.free_at(&node(n), free[n])).sum();
            // The definition, said the other way round.
            prop_assert_eq!(promisable, open - policy.safety_stock);
            let offered = policy.offered(promisable, Some(&web()));
            prop_assert!((0..=total).contains(&offered));
            prop_assert!(offered <= policy.offered(promisable, None));
            prop_assert!(offered == 0 || total - offered >= policy.safety_stock + policy.buffer(Some(&web())));
        }

        #[test]
        fn more_stock_never_offers_less(policy in any_policy(), free in any_free(), at in 0..3_usize, more in 1..9_i64) {
            let before = policy.offered(promisable(&policy, free), Some(&web()));
            let mut fuller = free;
            fuller[at] += more;
            prop_assert!(policy.offered(promisable(&policy, fuller), Some(&web())) >= before);
        }

        #[test]
        fn keeping_more_back_never_offers_more(policy in any_policy(), free in any_free(), more in 1..9_i64) {
            let offered = |policy: &Policy| policy.offered(promisable(policy, free), Some(&web()));
            let before = offered(&policy);
            let mut stricter = policy.clone();
            stricter.safety_stock += more;
            prop_assert!(offered(&stricter) <= before);
            let mut stricter = policy.clone();
            stricter.channels.entry(web()).and_modify(|rule| rule.buffer += more);
            prop_assert!(offered(&stricter) <= before);
            let mut stricter = policy;
            stricter.locations.entry(node(1)).and_modify(|rule| rule.safety_stock += more);
            prop_assert!(offered(&stricter) <= before);
        }
    }
}
