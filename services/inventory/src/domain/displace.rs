//! Less is there than was promised: whoever can wait best gives up the stock and waits for other.
//!
//! The physical truth is never refused. The least urgent reservations lose the missing units in the same step as the
//! correction is booked, and what is free at other places is given to those who wait, they included.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use oms_core::ReservationId;

use super::account::Account;
use super::board::{Board, Draft};
use super::effect::{Entry, Fact};
use super::level::LevelKey;
use super::refusal::Refusal;
use super::reservation::{Action, Reservation, ReservationState, RowKey};
use super::rows::move_rows;

/// Units that reservations lose: the rows they are taken from, in the order of the taking.
type Displaced = Vec<(ReservationId, Vec<(RowKey, i64)>)>;

impl Board {
    /// Books what a person found. What is missing beyond what is free, reservations lose.
    pub(super) fn correct_level(&mut self, delta: i64, correction: Entry) -> Result<(), Refusal> {
        let key = &correction.key;
        let missing = delta.saturating_neg().saturating_sub(self.available(key));
        if missing <= 0 {
            return self.book(vec![correction]);
        }
        let displaced = self.victims(&key.clone(), missing)?;
        self.displace(displaced, correction)
    }

    /// Who loses the units that are missing at a level. The lowest class first, in it the latest promise, then holds of
    /// orders that are not confirmed, then the youngest demand.
    fn victims(&mut self, key: &LevelKey, missing: i64) -> Result<Displaced, Refusal> {
        let buckets = self.levels.get(key).copied().unwrap_or_default();
        let promised = buckets
            .get(Account::Held)
            .saturating_add(buckets.get(Account::Allocated));
        if missing > promised {
            let available = self.available(key).saturating_add(promised);
            return Err(Refusal::Committed { available });
        }
        let mut left = missing;
        let mut displaced = Displaced::new();
        for (id, row, units) in self.promised_at(key) {
            let quantity = units.min(left);
            left -= quantity;
            match displaced.last_mut() {
                Some((last, rows)) if *last == id => rows.push((row, quantity)),
                _ => displaced.push((id, vec![(row, quantity)])),
            }
            if left == 0 {
                return Ok(displaced);
            }
        }
        // The bucket says that others hold it.
        self.short_sighted = true;
        Err(Refusal::NotThere {
            sku: key.sku.clone(),
            account: Account::Allocated,
        })
    }

    /// Rows that hold units of a level, in the order in which they lose them.
    fn promised_at(&self, key: &LevelKey) -> Vec<(ReservationId, RowKey, i64)> {
        let all = self.reservations.values();
        let mut rows: Vec<_> =
            all.flat_map(|one| one.rows.iter().map(move |(row, units)| (one, row, units)))
                .filter(|(_, row, _)| {
                    let is_promised = matches!(
                        row.state,
                        ReservationState::Held | ReservationState::Allocated
                    );
                    is_promised
                        && row.sku == key.sku
                        && row.place.as_ref().is_some_and(|place| {
                            place.location == key.location && place.lot == key.lot
                        })
                })
                .collect();
        rows.sort_by_key(|(one, row, units)| {
            let is_firm = row.state == ReservationState::Allocated;
            let age = (units.queued_at, one.id, row.order_line);
            (Reverse(one.urgency.rank()), is_firm, Reverse(age))
        });
        rows.into_iter()
            .map(|(one, row, units)| (one.id, row.clone(), units.quantity))
            .collect()
    }

    /// Has the victims wait and books the correction, all in one step. Then gives away what is free of the SKU.
    fn displace(&mut self, displaced: Displaced, correction: Entry) -> Result<(), Refusal> {
        let sku = correction.key.sku.clone();
        let mut changed: BTreeMap<ReservationId, Reservation> = BTreeMap::new();
        let mut entries = Vec::new();
        let mut units = 0;
        for (id, rows) in displaced {
            let mut reservation = match changed.remove(&id) {
                Some(reservation) => reservation,
                None => self.existing(id)?,
            };
            entries.extend(move_rows(&mut reservation, Action::Displace, &rows));
            units += rows.iter().map(|(_, quantity)| quantity).sum::<i64>();
            changed.insert(id, reservation);
        }
        for entry in &mut entries {
            entry.reason.clone_from(&correction.reason);
        }
        entries.push(correction);
        for reservation in changed.values_mut() {
            reservation.settle();
        }
        self.commit(Draft {
            reservations: changed.values().cloned().collect(),
            entries,
            ..Draft::default()
        })?;
        *self.displaced.entry(sku.clone()).or_default() += units;
        self.facts
            .extend(changed.into_values().map(|reservation| Fact::Changed {
                reservation,
                action: Action::Displace.as_str(),
            }));
        let levels = self.levels_of(&sku);
        self.supply(&levels);
        Ok(())
    }
}
