//! What is loaded under the lane locks, and the decisions taken on it.
//!
//! Commands are decided one after another, each on what the ones before left. A refused command leaves the board as
//! it was. In the end the board tells what has to be written: entries, deltas of levels, changed rows, facts.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{ReservationId, Sku};
use time::OffsetDateTime;

use super::account::Account;
use super::correct::{Corrections, OpenCorrection};
use super::effect::{Entry, EntryKey, Fact};
use super::expected::{ExpectedKey, ExpectedReceipt};
use super::lane::{LaneState, QueueChange};
use super::level::{Buckets, Level, LevelKey};
use super::offer::sums_of_free;
use super::policy::Policy;
use super::refusal::Refusal;
use super::reservation::Reservation;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Board {
    pub(super) now: OffsetDateTime,
    /// Lanes that are locked.
    pub(super) lanes: BTreeMap<Sku, LaneState>,
    /// Versions of the kits that the commands name.
    pub(super) kits: BTreeMap<Sku, i64>,
    pub(super) levels: BTreeMap<LevelKey, Buckets>,
    pub(super) reservations: BTreeMap<ReservationId, Reservation>,
    /// Entries of outside causes that the ledger holds already.
    pub(super) booked: BTreeSet<EntryKey>,
    /// Policies of the SKUs that have one.
    pub(super) policies: BTreeMap<Sku, Policy>,
    /// Free units of each SKU over all its levels, loaded or not.
    pub(super) available_of: BTreeMap<Sku, i64>,
    /// Expected receipts under the references of the receipts.
    pub(super) expected: BTreeMap<ExpectedKey, ExpectedReceipt>,
    pub(super) entries: Vec<Entry>,
    pub(super) facts: Vec<Fact>,
    pub(super) corrections: Corrections,
    /// Who asks for what is being decided.
    pub(super) actor: String,
    /// Units that lost the stock they were promised, by SKU.
    pub(super) displaced: BTreeMap<Sku, i64>,
    /// Reservations that ship complete and wait for several SKUs, of which something became free.
    pub(super) complete: BTreeSet<ReservationId>,
    /// Whether a decision needed reservations that were not loaded.
    pub(super) short_sighted: bool,
    /// Who changed a reservation last.
    actors: BTreeMap<ReservationId, String>,
    lanes_before: BTreeMap<Sku, LaneState>,
    pub(super) levels_before: BTreeMap<LevelKey, Buckets>,
    pub(super) available_before: BTreeMap<Sku, i64>,
    /// The same as the lanes hold it.
    pub(super) available_stored: BTreeMap<Sku, i64>,
    pub(super) expected_before: BTreeMap<ExpectedKey, ExpectedReceipt>,
    reservations_before: BTreeMap<ReservationId, Reservation>,
}

/// What is there under the locks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Loaded {
    /// Lanes that exist and are locked.
    pub(crate) lanes: BTreeMap<Sku, LaneState>,
    /// Versions of the kits that the commands name; 0 for what is no kit any more.
    pub(crate) kits: BTreeMap<Sku, i64>,
    /// Levels that the commands may need; one that is missing does not exist.
    pub(crate) levels: Vec<Level>,
    /// Reservations of the commands, those that wait for what they may free, and those that a correction may displace.
    pub(crate) reservations: Vec<Reservation>,
    /// Entries of outside causes that the ledger holds already.
    pub(crate) booked: BTreeSet<EntryKey>,
    /// Corrections of the commands.
    pub(crate) corrections: Vec<OpenCorrection>,
    /// Free units of each SKU over all its levels, as its lane holds them.
    pub(crate) available_of: BTreeMap<Sku, i64>,
    /// Whether the levels are all that the SKUs have. Then their sums count, whatever the lanes hold.
    pub(crate) has_all_levels: bool,
    /// Policies of the SKUs that have one. Levels of the locations with rules are among the levels.
    pub(crate) policies: BTreeMap<Sku, Policy>,
    /// Expected receipts under the references of the receipts.
    pub(crate) expected: Vec<ExpectedReceipt>,
}

/// A change that was decided but not yet made.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) reservations: Vec<Reservation>,
    pub(super) entries: Vec<Entry>,
    /// Levels as they are after a correction; its entries are counted in already.
    pub(super) repaired: BTreeMap<LevelKey, Buckets>,
}

impl Board {
    /// A board of what was loaded at this time.
    pub(crate) fn new(now: OffsetDateTime, loaded: Loaded) -> Self {
        let levels: BTreeMap<_, _> = loaded
            .levels
            .into_iter()
            .map(|level| (level.key, level.buckets))
            .collect();
        let reservations: BTreeMap<_, _> = loaded
            .reservations
            .into_iter()
            .map(|one| (one.id, one))
            .collect();
        let expected: BTreeMap<_, _> = loaded
            .expected
            .into_iter()
            .map(|one| (one.key.clone(), one))
            .collect();
        let available = if loaded.has_all_levels {
            sums_of_free(loaded.lanes.keys(), &levels)
        } else {
            loaded.available_of.clone()
        };
        Self {
            now,
            lanes_before: loaded.lanes.clone(),
            lanes: loaded.lanes,
            policies: loaded.policies,
            available_before: available.clone(),
            available_of: available,
            available_stored: loaded.available_of,
            expected_before: expected.clone(),
            expected,
            kits: loaded.kits,
            levels_before: levels.clone(),
            levels,
            reservations_before: reservations.clone(),
            reservations,
            booked: loaded.booked,
            entries: Vec::new(),
            facts: Vec::new(),
            corrections: Corrections::of(loaded.corrections),
            actor: String::new(),
            displaced: BTreeMap::new(),
            complete: BTreeSet::new(),
            short_sighted: false,
            actors: BTreeMap::new(),
        }
    }

    /// The time of all decisions.
    pub(crate) fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// A reservation as it was loaded.
    pub(crate) fn reservation_before(&self, id: ReservationId) -> Option<&Reservation> {
        self.reservations_before.get(&id)
    }

    /// Who changed a reservation last, of those that changed.
    pub(crate) fn changed_by(&self, id: ReservationId) -> &str {
        self.actors.get(&id).map_or("", String::as_str)
    }

    /// A level as it is now.
    pub(crate) fn level(&self, key: &LevelKey) -> Level {
        let buckets = self.levels.get(key).copied().unwrap_or_default();
        Level {
            key: key.clone(),
            buckets,
        }
    }

    /// Entries decided so far, in order.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Facts decided so far, in order.
    pub(crate) fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Levels that changed, each with what has to be added to the stored one; `None` when none is stored.
    pub(crate) fn changed_levels(&self) -> impl Iterator<Item = (Level, Option<Buckets>)> {
        self.levels.iter().filter_map(|(key, now)| {
            let level = Level {
                key: key.clone(),
                buckets: *now,
            };
            match self.levels_before.get(key) {
                Some(before) if before == now => None,
                Some(before) => Some((level, Some(now.since(before)))),
                None => Some((level, None)),
            }
        })
    }

    /// SKUs for which other units wait than before.
    pub(crate) fn changed_queues(&self) -> BTreeMap<&Sku, QueueChange> {
        let before = |sku| {
            self.lanes_before
                .get(sku)
                .map_or(0, |lane| lane.backordered)
        };
        let change = |(sku, lane): (_, &LaneState)| {
            let change = QueueChange {
                backordered: lane.backordered - before(sku),
                displaced: self.displaced.get(sku).copied().unwrap_or(0),
            };
            (change != QueueChange::default()).then_some((sku, change))
        };
        self.lanes.iter().filter_map(change).collect()
    }

    /// Reservations that can only be served under all of their lanes, and may be now.
    pub(crate) fn to_complete(&self) -> &BTreeSet<ReservationId> {
        &self.complete
    }

    /// Whether a command needs reservations that other commands of the batch kept out of sight: it has to be decided
    /// alone.
    pub(crate) fn is_short_sighted(&self) -> bool {
        self.short_sighted
    }

    /// Reservations that were made or changed.
    pub(crate) fn changed_reservations(&self) -> impl Iterator<Item = &Reservation> {
        self.reservations
            .values()
            .filter(|now| self.reservations_before.get(&now.id) != Some(now))
    }

    /// Whether the lanes of all SKUs of a loaded reservation are locked. False when it came to be after its
    /// SKUs were looked up: look again.
    pub(crate) fn guards(&self, id: ReservationId) -> bool {
        self.reservations.get(&id).is_none_or(|one| {
            one.skus()
                .into_iter()
                .all(|sku| self.lanes.contains_key(sku))
        })
    }

    /// Makes a change, all of it or nothing.
    pub(super) fn commit(&mut self, draft: Draft) -> Result<(), Refusal> {
        let mut touched: BTreeMap<LevelKey, Buckets> = BTreeMap::new();
        for entry in &draft.entries {
            debug_assert!(entry.entry.allows(entry.from, entry.to), "{entry:?}");
            if draft.repaired.contains_key(&entry.key) {
                continue;
            }
            let stored = self.levels.get(&entry.key).copied().unwrap_or_default();
            let buckets = touched.entry(entry.key.clone()).or_insert(stored);
            for (account, delta) in [(entry.from, -entry.quantity), (entry.to, entry.quantity)] {
                let sku = || entry.key.sku.clone();
                buckets.add(account, delta).map_err(|_| match delta {
                    ..0 => Refusal::NotThere {
                        sku: sku(),
                        account,
                    },
                    _ => Refusal::TooMany { sku: sku() },
                })?;
            }
        }
        for (key, buckets) in touched.into_iter().chain(draft.repaired) {
            // A level that never was need not be.
            if buckets != self.levels.get(&key).copied().unwrap_or_default() {
                self.set_level(key, buckets);
            }
        }
        let actor = &self.actor;
        let stamped = draft.entries.into_iter().map(|entry| Entry {
            actor: actor.clone(),
            ..entry
        });
        self.entries.extend(stamped);
        for reservation in draft.reservations {
            self.actors.insert(reservation.id, self.actor.clone());
            self.count_waiting(&reservation);
            self.reservations.insert(reservation.id, reservation);
        }
        Ok(())
    }

    /// Counts what waits more or less than before this change of a reservation.
    fn count_waiting(&mut self, now: &Reservation) {
        let before = self.reservations.get(&now.id);
        let before = before.into_iter().flat_map(Reservation::waiting);
        let gone = before.map(|(sku, units)| (sku, -units));
        for (sku, units) in now.waiting().chain(gone) {
            if let Some(lane) = self.lanes.get_mut(sku) {
                lane.backordered += units;
            }
        }
    }

    /// Free units of a level.
    pub(super) fn available(&self, key: &LevelKey) -> i64 {
        self.levels
            .get(key)
            .map_or(0, |buckets| buckets.get(Account::Available))
    }
}
