//! Rows of reservations on the move, and the entries that say so.

use std::collections::BTreeMap;

use oms_core::{Sku, Violations};

use super::account::{Account, EntryType};
use super::command::Units;
use super::effect::Entry;
use super::refusal::Refusal;
use super::reservation::{Action, Place, Reservation, ReservationState as S, RowKey};

/// Rows in one of these states, whole.
pub(super) fn rows_in(reservation: &Reservation, states: &[S]) -> Vec<(RowKey, i64)> {
    let rows = reservation
        .rows
        .iter()
        .filter(|(key, _)| states.contains(&key.state));
    rows.map(|(key, row)| (key.clone(), row.quantity)).collect()
}

/// The rows that a caller names, each with the units to move. Naming one twice adds up.
pub(super) fn named_rows(
    reservation: &Reservation,
    units: &[Units],
    action: Action,
    field: &str,
) -> Result<Vec<(RowKey, i64)>, Refusal> {
    let mut rows: BTreeMap<RowKey, i64> = BTreeMap::new();
    for (key, quantity) in rows_of(reservation, units, action, field)? {
        *rows.entry(key).or_default() += quantity;
    }
    Ok(rows.into_iter().collect())
}

/// The row of each of the units that a caller names, in step with them.
pub(super) fn rows_of(
    reservation: &Reservation,
    units: &[Units],
    action: Action,
    field: &str,
) -> Result<Vec<(RowKey, i64)>, Refusal> {
    let mut sums: BTreeMap<RowKey, i64> = BTreeMap::new();
    let mut rows = Vec::with_capacity(units.len());
    for (number, units) in units.iter().enumerate() {
        let field = if field == "line" {
            field.to_owned()
        } else {
            format!("{field}[{number}]")
        };
        let key = row_for(reservation, units, action, &field)?;
        let open = reservation.units(&key);
        let requested = sums.entry(key.clone()).or_default();
        *requested = requested.saturating_add(units.quantity);
        if *requested > open {
            let requested = *requested;
            return Err(Refusal::ExceedsOpen {
                field,
                open,
                requested,
            });
        }
        rows.push((key, units.quantity));
    }
    Ok(rows)
}

/// The row of the named units whose state allows the action. Held and allocated units never stand side by side.
fn row_for(
    reservation: &Reservation,
    units: &Units,
    action: Action,
    field: &str,
) -> Result<RowKey, Refusal> {
    let sku = sku_of(reservation, units, field)?;
    let states = || {
        let rows = reservation.rows.keys();
        let of_line =
            rows.filter(|key| key.order_line == units.order_line && Some(&key.sku) == sku);
        of_line
            .filter(|key| key.place == units.place)
            .map(|key| key.state)
    };
    let key = |state, sku: &Sku| RowKey {
        order_line: units.order_line,
        sku: sku.clone(),
        place: units.place.clone(),
        state,
    };
    if let Some(sku) = sku
        && let Some(state) = states().find(|state| state.after(action).is_some())
    {
        return Ok(key(state, sku));
    }
    if let Some(state) = states().find(|state| state.is_live()) {
        return Err(Refusal::Illegal {
            state,
            action: action.as_str(),
        });
    }
    if states().next().is_some() {
        let (open, requested) = (0, units.quantity);
        return Err(Refusal::ExceedsOpen {
            field: field.to_owned(),
            open,
            requested,
        });
    }
    let mut violations = Violations::default();
    violations.push(
        field,
        "REFERENCE_UNKNOWN",
        "the reservation has no such units",
    );
    Err(Refusal::Invalid(violations))
}

/// The SKU of the named units: the line's own where the caller names none. `None` when the line has no rows.
fn sku_of<'a>(
    reservation: &'a Reservation,
    units: &'a Units,
    field: &str,
) -> Result<Option<&'a Sku>, Refusal> {
    if units.sku.is_some() {
        return Ok(units.sku.as_ref());
    }
    let rows = reservation.rows.keys();
    let mut of_line = rows.filter(|key| key.order_line == units.order_line);
    let first = of_line.next().map(|key| &key.sku);
    if of_line.all(|key| Some(&key.sku) == first) {
        return Ok(first);
    }
    let mut violations = Violations::default();
    violations.push(
        format!("{field}.sku"),
        "FIELD_REQUIRED",
        "the order line has several SKUs",
    );
    Err(Refusal::Invalid(violations))
}

/// Moves units of rows to the state after the action; answers the entries for those that stand somewhere.
pub(super) fn move_rows(
    reservation: &mut Reservation,
    action: Action,
    rows: &[(RowKey, i64)],
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (from, quantity) in rows {
        let Some(state) = from.state.after(action) else {
            continue;
        };
        if !reservation.rows.contains_key(from) {
            continue;
        }
        if let (Some(place), Some(move_)) = (&from.place, stock_move(from.state, action)) {
            entries.push(row_entry(reservation, from, place, *quantity, move_));
        }
        let to = RowKey {
            state,
            // What waits stands nowhere.
            place: from.place.clone().filter(|_| state != S::Backordered),
            ..from.clone()
        };
        reservation.split_off(from, to, *quantity);
    }
    entries
}

/// How units move between accounts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    pub(super) entry: EntryType,
    pub(super) from: Account,
    pub(super) to: Account,
}

/// What an action on units in a state means for the stock; `None` for demand that waits.
fn stock_move(state: S, action: Action) -> Option<Move> {
    let (entry, from, to) = match (state, action) {
        (S::Held, Action::Confirm) => (EntryType::Allocate, Account::Held, Account::Allocated),
        (S::Held, Action::Release | Action::Displace) => {
            (EntryType::HoldRelease, Account::Held, Account::Available)
        }
        (S::Held, Action::Expire) => (EntryType::HoldExpire, Account::Held, Account::Available),
        (S::Allocated, Action::Release | Action::Displace) => (
            EntryType::Deallocate,
            Account::Allocated,
            Account::Available,
        ),
        (S::Allocated, Action::ReportShort) => (
            EntryType::PickShort,
            Account::Allocated,
            Account::CountPending,
        ),
        (S::Allocated, Action::Issue) => (EntryType::Issue, Account::Allocated, Account::Customer),
        _ => return None,
    };
    Some(Move { entry, from, to })
}

pub(super) fn row_entry(
    reservation: &Reservation,
    key: &RowKey,
    place: &Place,
    quantity: i64,
    move_: Move,
) -> Entry {
    Entry {
        entry: move_.entry,
        key: place.level(&key.sku),
        from: move_.from,
        to: move_.to,
        quantity,
        cause: format!("reservation/{}/{}", reservation.id, reservation.version + 1),
        line: key.order_line.to_string(),
        reason: String::new(),
        reference: String::new(),
        actor: String::new(),
    }
}
