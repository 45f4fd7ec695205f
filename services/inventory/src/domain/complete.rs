//! Orders that ship complete: what waits of them comes from one location at once, or goes on waiting.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{LocationId, ReservationId, Sku};

use super::account::Account;
use super::board::Board;
use super::decide::answer;
use super::effect::Outcome;
use super::level::LevelKey;
use super::offer::Free;
use super::refusal::Refusal;
use super::reservation::{Reservation, ReservationState, RowKey};
use super::supply::Gift;

/// What a reservation that ships complete gets.
pub(super) enum Complete {
    /// All that waits of it, or nothing.
    Gifts(Vec<Gift>),
    /// It waits for other SKUs, too, which have lanes of their own: it has to be looked at under all of them.
    Elsewhere,
}

/// All that waits of a reservation for this SKU, from one location, if one has enough and nothing else is waited for.
pub(super) fn complete_from(reservation: &Reservation, sku: &Sku, free: &mut Free<'_>) -> Complete {
    let wanted = wanted(reservation);
    let units = wanted.get(sku).copied().unwrap_or(0);
    let channel = reservation.channel.as_ref();
    let places = candidates(reservation, free.locations());
    let Some(at) = places.into_iter().find(|at| free.at(at, channel) >= units) else {
        return Complete::Gifts(Vec::new());
    };
    if wanted.len() > 1 {
        return Complete::Elsewhere;
    }
    Complete::Gifts(gifts(reservation, sku, &at, free))
}

impl Board {
    /// Allocates all that waits of a reservation, under the lanes of all its SKUs.
    pub(super) fn allocate_complete(&mut self, id: ReservationId) -> Result<Outcome, Refusal> {
        let reservation = self.existing(id)?;
        let wanted = wanted(&reservation);
        if wanted.is_empty() || !reservation.ship_complete {
            return Ok(answer(&reservation));
        }
        let stocked = self.levels.iter();
        let stocked = stocked.filter(|(_, buckets)| buckets.get(Account::Available) > 0);
        let stocked: BTreeSet<LocationId> = stocked.map(|(key, _)| key.location.clone()).collect();
        let places = candidates(&reservation, stocked);
        let found = places
            .iter()
            .find_map(|at| self.all_at(&reservation, &wanted, at));
        if let Some(gifts) = found {
            self.give(id, gifts)?;
        }
        self.existing(id).map(|reservation| answer(&reservation))
    }

    /// All that waits of a reservation, if this location has it.
    fn all_at(
        &self,
        reservation: &Reservation,
        wanted: &BTreeMap<Sku, i64>,
        at: &LocationId,
    ) -> Option<Vec<Gift>> {
        let mut all = Vec::new();
        for (sku, units) in wanted {
            let here = self.levels.keys();
            let here = here.filter(|key| key.sku == *sku && key.location == *at);
            let here: Vec<&LevelKey> = here.collect();
            let mut free = self.free_for_waiting(&here);
            if free.at(at, reservation.channel.as_ref()) < *units {
                return None;
            }
            all.extend(gifts(reservation, sku, at, &mut free));
        }
        Some(all)
    }
}

/// Units of one location for all rows that wait for a SKU.
fn gifts(reservation: &Reservation, sku: &Sku, at: &LocationId, free: &mut Free<'_>) -> Vec<Gift> {
    let channel = reservation.channel.as_ref();
    let rows = waiting_rows(reservation).into_iter();
    let of_sku = rows.filter(|(row, _)| row.sku == *sku);
    of_sku
        .flat_map(|(row, quantity)| {
            let drawn = free.draw_at(at, quantity, channel);
            drawn
                .into_iter()
                .map(move |(key, units)| (row.clone(), key, units))
        })
        .collect()
}

/// Units that wait, by SKU.
fn wanted(reservation: &Reservation) -> BTreeMap<Sku, i64> {
    let mut wanted: BTreeMap<Sku, i64> = BTreeMap::new();
    for (sku, units) in reservation.waiting() {
        *wanted.entry(sku.clone()).or_default() += units;
    }
    wanted
}

fn waiting_rows(reservation: &Reservation) -> Vec<(RowKey, i64)> {
    let rows = reservation.rows.iter();
    rows.filter(|(key, _)| key.state == ReservationState::Backordered)
        .map(|(key, row)| (key.clone(), row.quantity))
        .collect()
}

/// Of these locations, those that may give the rest: where a part of the order stands already, only that one.
fn candidates(reservation: &Reservation, locations: BTreeSet<LocationId>) -> BTreeSet<LocationId> {
    let live = reservation.rows.keys().filter(|key| key.state.is_live());
    let taken: BTreeSet<&LocationId> = live
        .filter_map(|key| Some(&key.place.as_ref()?.location))
        .collect();
    locations
        .into_iter()
        .filter(|location| taken.is_empty() || taken.contains(location))
        .collect()
}
