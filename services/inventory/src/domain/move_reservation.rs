//! Takes reserved units from another place instead: two entries, one for each place.

use std::collections::BTreeMap;

use oms_core::{ReservationId, Violations};

use super::account::{Account, EntryType};
use super::board::Board;
use super::command::Units;
use super::effect::{Entry, EntryKey, Outcome};
use super::level::LevelKey;
use super::refusal::Refusal;
use super::reservation::{Action, Place, Reservation, ReservationState as S, RowKey, Shortage};
use super::rows::{Move, row_entry, rows_of};

/// Units of a reservation that are to be taken from other places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MoveReservation {
    /// Reservation.
    pub(crate) reservation: ReservationId,
    /// What goes where.
    pub(crate) moves: Vec<MovedUnits>,
}

/// Units and their new place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MovedUnits {
    /// Units where they are now.
    pub(crate) units: Units,
    /// Where they shall be taken from.
    pub(crate) to: Place,
}

impl Board {
    /// All or nothing: places that have too little are told.
    pub(super) fn move_reservation(&mut self, moved: &MoveReservation) -> Result<Outcome, Refusal> {
        let mut reservation = self.existing(moved.reservation)?;
        let units: Vec<Units> = moved.moves.iter().map(|one| one.units.clone()).collect();
        let rows = rows_of(&reservation, &units, Action::Move, "lines")?;
        let moves: Vec<(&RowKey, i64, &Place)> = rows
            .iter()
            .zip(&moved.moves)
            .map(|((row, quantity), one)| (row, *quantity, &one.to))
            .collect();
        check_places(&moves)?;
        self.check_supply(&moves)?;
        let mut entries: BTreeMap<EntryKey, Entry> = BTreeMap::new();
        for (from, quantity, to) in moves {
            for entry in both_entries(&reservation, from, quantity, to) {
                let same = entries.entry(entry.entry_key());
                same.and_modify(|same| same.quantity += entry.quantity)
                    .or_insert(entry);
            }
            let to = RowKey {
                place: Some(to.clone()),
                ..from.clone()
            };
            reservation.split_off(from, to, quantity);
        }
        reservation.settle();
        let entries = entries.into_values().collect();
        self.change(reservation, entries, Action::Move.as_str())
    }

    /// Several moves to one place share what is free there.
    fn check_supply(&self, moves: &[(&RowKey, i64, &Place)]) -> Result<(), Refusal> {
        let mut left: BTreeMap<LevelKey, i64> = BTreeMap::new();
        let mut shortages = Vec::new();
        for (from, quantity, to) in moves {
            let key = to.level(&from.sku);
            let free = self.available(&key);
            let left = left.entry(key).or_insert(free);
            if *quantity <= *left {
                *left -= quantity;
                continue;
            }
            shortages.push(Shortage {
                order_line: from.order_line,
                sku: from.sku.clone(),
                location: Some(to.location.clone()),
                requested: *quantity,
                available: *left,
                next_supply: self.next_supply(&from.sku),
            });
            *left = 0;
        }
        if shortages.is_empty() {
            return Ok(());
        }
        Err(Refusal::OutOfStock(shortages))
    }
}

fn check_places(moves: &[(&RowKey, i64, &Place)]) -> Result<(), Refusal> {
    let mut violations = Violations::default();
    for (number, (from, _, to)) in moves.iter().enumerate() {
        violations.check(
            from.place.as_ref() != Some(*to),
            format!("lines[{number}].to_location_id"),
            "DUPLICATE",
            "the units are there already",
        );
    }
    violations.into_result().map_err(Refusal::Invalid)
}

/// One place gets its units back, the other gives as many.
fn both_entries(reservation: &Reservation, from: &RowKey, quantity: i64, to: &Place) -> Vec<Entry> {
    let (give, take, account) = match from.state {
        S::Held => (EntryType::HoldRelease, EntryType::Hold, Account::Held),
        _ => (
            EntryType::Deallocate,
            EntryType::Allocate,
            Account::Allocated,
        ),
    };
    let back = Move {
        entry: give,
        from: account,
        to: Account::Available,
    };
    let instead = Move {
        entry: take,
        from: Account::Available,
        to: account,
    };
    let left = from.place.as_ref().map(|place| (place, back));
    left.into_iter()
        .chain([(to, instead)])
        .map(|(place, move_)| row_entry(reservation, from, place, quantity, move_))
        .collect()
}
