//! Decisions about stock itself: receipts, corrections, returned goods.

use std::collections::BTreeSet;

use oms_core::{Sku, Violations};

use super::account::{Account, EntryType};
use super::board::{Board, Draft};
use super::command::{Adjust, MoveReturned, Receive, ReturnedUnits};
use super::effect::{Entry, Outcome};
use super::level::LevelKey;
use super::refusal::Refusal;

impl Board {
    pub(super) fn receive(&mut self, receive: &Receive) -> Result<Outcome, Refusal> {
        self.check_skus(receive.lines.iter().map(|(key, _)| &key.sku))?;
        let entries = receive
            .lines
            .iter()
            .enumerate()
            .map(|(number, (key, quantity))| Entry {
                entry: EntryType::Receive,
                key: key.clone(),
                from: Account::Supplier,
                to: Account::Available,
                quantity: *quantity,
                cause: receive.cause.clone(),
                line: number.to_string(),
                reason: String::new(),
                reference: receive.reference.clone(),
                actor: String::new(),
            })
            .collect();
        self.book(entries)?;
        self.take_off_expected(receive);
        let keys = receive.lines.iter().map(|(key, _)| key.clone()).collect();
        Ok(self.levels_outcome(&keys))
    }

    pub(super) fn adjust(&mut self, adjust: &Adjust) -> Result<Outcome, Refusal> {
        self.check_sku("sku", &adjust.key.sku)?;
        let (from, to) = if adjust.delta > 0 {
            (Account::Variance, Account::Available)
        } else {
            (Account::Available, Account::Variance)
        };
        let correction = Entry {
            entry: EntryType::Adjust,
            key: adjust.key.clone(),
            from,
            to,
            quantity: adjust.delta.saturating_abs(),
            cause: adjust.cause.clone(),
            line: String::new(),
            reason: adjust.reason.clone(),
            reference: String::new(),
            actor: String::new(),
        };
        self.correct_level(adjust.delta, correction)?;
        Ok(self.levels_outcome(&[adjust.key.clone()].into()))
    }

    pub(super) fn move_returned(&mut self, moved: &MoveReturned) -> Result<Outcome, Refusal> {
        self.check_skus(moved.moves.iter().map(|one| &one.sku))?;
        let mut entries = Vec::new();
        for one in &moved.moves {
            let Some((from, to)) = one.route() else {
                continue;
            };
            let key = LevelKey {
                sku: one.sku.clone(),
                location: moved.location.clone(),
                lot: String::new(),
            };
            entries.push(Entry {
                entry: one.entry,
                key,
                from,
                to,
                quantity: one.quantity,
                cause: moved.cause.clone(),
                line: one.line.clone(),
                reason: String::new(),
                reference: String::new(),
                actor: String::new(),
            });
        }
        entries.retain(|entry| !self.booked.contains(&entry.entry_key()));
        let keys = entries.iter().map(|entry| entry.key.clone()).collect();
        self.book(entries)?;
        Ok(self.levels_outcome(&keys))
    }

    pub(super) fn allocate_backorders(&mut self, sku: &Sku) -> Outcome {
        let keys = self.levels_of(sku);
        self.supply(&keys);
        self.levels_outcome(&keys)
    }

    /// All loaded levels of a SKU.
    pub(super) fn levels_of(&self, sku: &Sku) -> BTreeSet<LevelKey> {
        let keys = self.levels.keys().filter(|key| key.sku == *sku);
        keys.cloned().collect()
    }

    /// Makes a change to levels alone, and gives away what became free.
    pub(super) fn book(&mut self, entries: Vec<Entry>) -> Result<(), Refusal> {
        let freed = freed_by(&entries);
        self.commit(Draft {
            entries,
            ..Draft::default()
        })?;
        self.supply(&freed);
        Ok(())
    }

    pub(super) fn levels_outcome(&self, keys: &BTreeSet<LevelKey>) -> Outcome {
        Outcome::Levels(keys.iter().map(|key| self.level(key)).collect())
    }

    pub(super) fn check_sku(&self, field: &str, sku: &Sku) -> Result<(), Refusal> {
        let mut violations = Violations::default();
        self.check_shelf(field, sku, &mut violations);
        violations.into_result().map_err(Refusal::Invalid)
    }

    /// The SKU must be known and stand on the shelf itself.
    pub(super) fn check_shelf(&self, field: &str, sku: &Sku, violations: &mut Violations) {
        let lane = self.lanes.get(sku);
        violations.check(
            lane.is_some(),
            field,
            "SKU_UNKNOWN",
            format!("{sku} is not known"),
        );
        violations.check(
            lane.is_none_or(|lane| lane.kit_version == 0),
            field,
            "SKU_IS_KIT",
            format!("{sku} is a kit and has no stock of its own"),
        );
    }
}

/// Levels at which these entries make units free.
pub(super) fn freed_by(entries: &[Entry]) -> BTreeSet<LevelKey> {
    entries
        .iter()
        .filter(|entry| entry.to == Account::Available)
        .map(|entry| entry.key.clone())
        .collect()
}

impl ReturnedUnits {
    /// Accounts the units leave and enter.
    fn route(&self) -> Option<(Account, Account)> {
        match self.entry {
            EntryType::ReturnReceive => Some((Account::Customer, Account::Qc)),
            EntryType::Restock => Some((Account::Qc, Account::Available)),
            EntryType::QuarantineIn => Some((Account::Qc, Account::Quarantine)),
            EntryType::Scrap => Some((Account::Qc, Account::Scrap)),
            _ => None,
        }
    }
}
