//! What has to be true when everything has come to rest.

use std::collections::BTreeMap;

use oms_core::Clock;

use crate::domain::account::Account;
use crate::domain::level::LevelKey;
use crate::domain::reservation::{Reservation, ReservationState as S};

use super::client::Promises;
use super::tables::Rows;
use super::world::{World, lock};

/// Tells the world of everything that is not as it must be.
pub(super) fn audit(world: &World, rows: &Rows, promises: &Promises) {
    let mut wrong = Vec::new();
    levels_are_sums_of_the_ledger(rows, &mut wrong);
    levels_cover_reservations(rows, &mut wrong);
    nothing_is_due_or_starves(world, rows, &mut wrong);
    lanes_count_what_waits(rows, &mut wrong);
    promises_are_kept(rows, promises, &mut wrong);
    for what in wrong {
        world.violation(what);
    }
}

fn levels_are_sums_of_the_ledger(rows: &Rows, wrong: &mut Vec<String>) {
    let mut sums: BTreeMap<LevelKey, [i64; 8]> = BTreeMap::new();
    for entry in &rows.ledger {
        let of = sums.entry(entry.key.clone()).or_default();
        for (account, delta) in [(entry.from, -entry.quantity), (entry.to, entry.quantity)] {
            if let Some(bucket) = account.bucket() {
                of[bucket] += delta;
            }
        }
    }
    for (key, buckets) in &rows.levels {
        let ledger = sums.remove(key).unwrap_or_default();
        if ledger != buckets.0 {
            wrong.push(format!(
                "{key:?} is {buckets:?}, the ledger says {ledger:?}"
            ));
        }
    }
    for (key, _) in sums {
        wrong.push(format!("{key:?} is in the ledger only"));
    }
}

fn levels_cover_reservations(rows: &Rows, wrong: &mut Vec<String>) {
    let mut open: BTreeMap<(LevelKey, S), i64> = BTreeMap::new();
    for one in rows.reservations.values() {
        if rows.events.get(&one.id) != Some(&one.version) {
            wrong.push(format!("{} has not told all its changes", one.id));
        }
        for (key, row) in &one.rows {
            let Some(place) = &key.place else {
                continue;
            };
            let level = place.level(&key.sku);
            *open.entry((level, key.state)).or_default() += row.quantity;
        }
    }
    for (key, buckets) in &rows.levels {
        for (state, account) in [(S::Held, Account::Held), (S::Allocated, Account::Allocated)] {
            let reserved = open.remove(&(key.clone(), state)).unwrap_or(0);
            if reserved != buckets.get(account) {
                wrong.push(format!("{key:?} is {buckets:?}, {reserved} are {state:?}"));
            }
        }
    }
}

/// Demand that waits while units are free was forgotten.
fn nothing_is_due_or_starves(world: &World, rows: &Rows, wrong: &mut Vec<String>) {
    let now = world.now();
    for one in rows.reservations.values() {
        if one.expires_at.is_some_and(|at| at <= now) {
            wrong.push(format!("{} ran out and was not ended", one.id));
        }
        for key in one.rows.keys() {
            let free = rows.levels.iter().any(|(level, buckets)| {
                level.sku == key.sku && buckets.get(Account::Available) > 0
            });
            if key.state == S::Backordered && free {
                wrong.push(format!(
                    "{} waits for {} beside free stock",
                    one.id, key.sku
                ));
            }
        }
    }
}

fn lanes_count_what_waits(rows: &Rows, wrong: &mut Vec<String>) {
    let all = rows.reservations.values().flat_map(Reservation::waiting);
    let mut waiting = BTreeMap::new();
    for (sku, units) in all {
        *waiting.entry(sku).or_default() += units;
    }
    for (sku, lane) in &rows.lanes {
        let units: i64 = waiting.remove(sku).unwrap_or(0);
        if units != lane.state.backordered {
            wrong.push(format!(
                "{units} units of {sku} wait, the lane says {lane:?}"
            ));
        }
    }
}

fn promises_are_kept(rows: &Rows, promises: &Promises, wrong: &mut Vec<String>) {
    for id in lock(&promises.made).iter() {
        if !rows.reservations.contains_key(id) {
            wrong.push(format!("{id} was made and is not there"));
        }
    }
    for id in lock(&promises.confirmed).iter() {
        let state = rows.reservations.get(id).map(|one| one.state);
        if matches!(state, None | Some(S::Held | S::Expired)) {
            wrong.push(format!("{id} was confirmed and is {state:?}"));
        }
    }
    for id in lock(&promises.released).iter() {
        if rows.reservations.get(id).is_none_or(Reservation::is_live) {
            wrong.push(format!("{id} was released and lives"));
        }
    }
    for (id, units) in lock(&promises.issued).iter() {
        let consumed = rows.reservations.get(id).map_or(0, |one| {
            let rows = one.rows.iter().filter(|(key, _)| key.state == S::Consumed);
            rows.map(|(_, row)| row.quantity).sum()
        });
        if consumed < *units {
            wrong.push(format!("{units} of {id} were issued, {consumed} are"));
        }
    }
    for cause in lock(&promises.booked).iter() {
        if !rows.ledger.iter().any(|entry| entry.cause == *cause) {
            wrong.push(format!("{cause} was booked and is not there"));
        }
    }
}
