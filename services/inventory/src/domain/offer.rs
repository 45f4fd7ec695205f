//! What a board offers: to an order that comes, and to demand that waits.
//!
//! An order is offered what is free beyond the safety stock of its locations, and over all of them no more than the
//! SKU's safety stock and the rule of its channel leave. Demand that waits is offered the same as an order that comes.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{ChannelId, LocationId, Sku};

use super::account::Account;
use super::board::Board;
use super::command::Reserve;
use super::effect::Entry;
use super::fit::{Caps, Demand, Supply};
use super::level::{Buckets, Level, LevelKey};
use super::policy::Policy;
use super::standing::{self, Signal};
use super::told::StockFact;

impl Board {
    /// Free units at the ranked locations. Lots come in the order of their names; what is kept back is kept of the last.
    pub(super) fn supply_for(&self, reserve: &Reserve) -> Supply {
        let parts = reserve.demands.iter().flat_map(Demand::parts);
        let skus: BTreeSet<&Sku> = parts.map(|(sku, _)| sku).collect();
        let ranked: BTreeSet<&LocationId> = reserve.wishes.ranked.iter().collect();
        let mut supply = Supply::new();
        for (key, buckets) in &self.levels {
            let free = buckets.get(Account::Available);
            if free > 0 && skus.contains(&key.sku) && ranked.contains(&key.location) {
                supply
                    .entry((key.sku.clone(), key.location.clone()))
                    .or_default()
                    .push((key.lot.clone(), free));
            }
        }
        for ((sku, location), lots) in &mut supply {
            if let Some(policy) = self.policies.get(sku) {
                keep_back(lots, policy.kept_at(location));
            }
        }
        supply
    }

    /// Most units of each SKU that the order may take; SKUs without a policy are missing.
    pub(super) fn caps_for(&self, reserve: &Reserve) -> Caps {
        let mut caps = Caps::new();
        for (sku, _) in reserve.demands.iter().flat_map(Demand::parts) {
            if let Some(policy) = self.policies.get(sku) {
                let offered = policy.offered(self.promisable(sku), reserve.channel.as_ref());
                caps.insert(sku.clone(), offered);
            }
        }
        caps
    }

    /// What demand that waits for the SKU of these levels may have of them.
    pub(super) fn free_for_waiting<'a>(&'a self, keys: &[&'a LevelKey]) -> Free<'a> {
        let sku = keys.first().map(|key| &key.sku);
        let policy = sku.and_then(|sku| self.policies.get(sku));
        let mut levels: Vec<_> = keys.iter().map(|key| (*key, self.available(key))).collect();
        let Some((sku, policy)) = sku.zip(policy) else {
            return Free {
                levels,
                limit: None,
            };
        };
        let mut left: BTreeMap<&LocationId, i64> = BTreeMap::new();
        for (key, units) in &mut levels {
            let here = left.entry(&key.location).or_insert_with(|| {
                policy.free_at(&key.location, self.available_at(sku, &key.location))
            });
            *units = (*units).min(*here);
            *here -= *units;
        }
        Free {
            levels,
            limit: Some((policy, self.promisable(sku))),
        }
    }

    /// Whether demand that waits for the SKU may find more on a second look: something was promised here, and something
    /// is left.
    pub(crate) fn may_serve_more(&self, sku: &Sku) -> bool {
        let promised = |entry: &Entry| entry.key.sku == *sku && entry.from == Account::Available;
        let keys: Vec<&LevelKey> = self.levels.keys().filter(|key| key.sku == *sku).collect();
        self.entries.iter().any(promised) && !self.free_for_waiting(&keys).draw(1, None).is_empty()
    }

    /// Changes a level, and with it the sum of free units of its SKU.
    pub(super) fn set_level(&mut self, key: LevelKey, buckets: Buckets) {
        let more = buckets.get(Account::Available) - self.available(&key);
        let sum = self.available_of.entry(key.sku.clone()).or_default();
        *sum = sum.saturating_add(more);
        self.levels.insert(key, buckets);
    }

    /// What the lane of each SKU tells of this transaction, in the order of its events. SKUs without a change are
    /// missing.
    pub(crate) fn stock_facts(&self) -> BTreeMap<Sku, Vec<StockFact>> {
        let mut levels: BTreeMap<Sku, Vec<Level>> = BTreeMap::new();
        for (level, _) in self.changed_levels() {
            levels.entry(level.key.sku.clone()).or_default().push(level);
        }
        let mut facts: BTreeMap<Sku, Vec<StockFact>> = levels
            .into_iter()
            .map(|(sku, levels)| (sku, vec![StockFact::Changed(levels)]))
            .collect();
        for one in self.changed_expected() {
            let of_sku = facts.entry(one.key.sku.clone()).or_default();
            of_sku.push(StockFact::Expected(one.clone()));
        }
        for (sku, of_sku) in &mut facts {
            of_sku.extend(self.signals(sku).into_iter().map(StockFact::Signal));
        }
        facts
    }

    /// What has to be added to the sums of free units that the lanes hold; sums that are right are missing.
    pub(crate) fn available_deltas(&self) -> BTreeMap<&Sku, i64> {
        let stored = |sku| self.available_stored.get(sku).copied().unwrap_or(0);
        self.available_of
            .iter()
            .map(|(sku, sum)| (sku, sum.saturating_sub(stored(sku))))
            .filter(|(_, delta)| *delta != 0)
            .collect()
    }

    fn signals(&self, sku: &Sku) -> Vec<Signal> {
        let none = Policy::default();
        let policy = self.policies.get(sku).unwrap_or(&none);
        let of = |sums: &BTreeMap<Sku, i64>| sums.get(sku).copied().unwrap_or(0);
        let before = standing::readings(policy, of(&self.available_before), |location| {
            free_at(&self.levels_before, sku, location)
        });
        let after = standing::readings(policy, of(&self.available_of), |location| {
            self.available_at(sku, location)
        });
        standing::signals(&before, &after)
    }

    /// Units of the SKU that may be promised, channels aside; below zero when less is free than shall be kept back.
    fn promisable(&self, sku: &Sku) -> i64 {
        let available = self.available_of.get(sku).copied().unwrap_or(0);
        match self.policies.get(sku) {
            None => available,
            Some(policy) => {
                policy.promisable(available, |location| self.available_at(sku, location))
            }
        }
    }

    /// Free units of the SKU at a location, all lots together.
    fn available_at(&self, sku: &Sku, location: &LocationId) -> i64 {
        free_at(&self.levels, sku, location)
    }
}

fn free_at(levels: &BTreeMap<LevelKey, Buckets>, sku: &Sku, location: &LocationId) -> i64 {
    let first = LevelKey {
        sku: sku.clone(),
        location: location.clone(),
        lot: String::new(),
    };
    levels
        .range(&first..)
        .take_while(|(key, _)| key.sku == *sku && key.location == *location)
        .fold(0, |sum, (_, buckets)| {
            sum.saturating_add(buckets.get(Account::Available))
        })
}

/// What demand that waits for a SKU may have of some levels.
pub(super) struct Free<'a> {
    /// Levels with the units that their locations do not keep back.
    levels: Vec<(&'a LevelKey, i64)>,
    /// The policy of the SKU, and the units that may be promised over all locations.
    limit: Option<(&'a Policy, i64)>,
}

impl Free<'_> {
    /// Takes up to `want` units for an order of the channel off the levels, in their order.
    pub(super) fn draw(&mut self, want: i64, channel: Option<&ChannelId>) -> Vec<(LevelKey, i64)> {
        self.draw_from(|_| true, want, channel)
    }

    /// The same, off the levels of one location.
    pub(super) fn draw_at(
        &mut self,
        location: &LocationId,
        want: i64,
        channel: Option<&ChannelId>,
    ) -> Vec<(LevelKey, i64)> {
        self.draw_from(|key| key.location == *location, want, channel)
    }

    /// Units of a location that an order of the channel may have.
    pub(super) fn at(&self, location: &LocationId, channel: Option<&ChannelId>) -> i64 {
        let here = self
            .levels
            .iter()
            .filter(|(key, _)| key.location == *location);
        let units: i64 = here.map(|(_, units)| units).sum();
        units.min(self.offered(channel))
    }

    /// Where there are any.
    pub(super) fn locations(&self) -> BTreeSet<LocationId> {
        let levels = self.levels.iter().filter(|(_, units)| *units > 0);
        levels.map(|(key, _)| key.location.clone()).collect()
    }

    fn offered(&self, channel: Option<&ChannelId>) -> i64 {
        let limit = self
            .limit
            .map(|(policy, left)| policy.offered(left, channel));
        limit.unwrap_or(i64::MAX)
    }

    fn draw_from(
        &mut self,
        from: impl Fn(&LevelKey) -> bool,
        want: i64,
        channel: Option<&ChannelId>,
    ) -> Vec<(LevelKey, i64)> {
        let mut want = want.min(self.offered(channel));
        let mut drawn = Vec::new();
        for (key, units) in self.levels.iter_mut().filter(|(key, _)| from(key)) {
            let quantity = want.min(*units);
            if quantity > 0 {
                *units -= quantity;
                want -= quantity;
                drawn.push(((*key).clone(), quantity));
            }
        }
        if let Some((_, left)) = &mut self.limit {
            *left -= drawn.iter().map(|(_, quantity)| quantity).sum::<i64>();
        }
        drawn
    }
}

/// Free units of each of these SKUs, of which all levels are here.
pub(super) fn sums_of_free<'a>(
    skus: impl Iterator<Item = &'a Sku>,
    levels: &BTreeMap<LevelKey, Buckets>,
) -> BTreeMap<Sku, i64> {
    let mut sums: BTreeMap<Sku, i64> = skus.map(|sku| (sku.clone(), 0)).collect();
    for (key, buckets) in levels {
        let sum = sums.entry(key.sku.clone()).or_default();
        *sum = sum.saturating_add(buckets.get(Account::Available));
    }
    sums
}

/// Takes units off the lots, the last first.
fn keep_back(lots: &mut Vec<(String, i64)>, mut units: i64) {
    for (_, free) in lots.iter_mut().rev() {
        let kept = units.min(*free);
        *free -= kept;
        units -= kept;
    }
    lots.retain(|(_, free)| *free > 0);
}
