//! Rows of reservations on the move, and the entries that say so.

use std::collections::BTreeMap;

use oms_core::Violations;

use super::account::{Account, EntryType};
use super::command::Units;
use super::effect::Entry;
use super::level::LevelKey;
use super::refusal::Refusal;
use super::reservation::{Action, Place, Reservation, ReservationState as S, Row, RowKey};

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
    for (number, units) in units.iter().enumerate() {
        let field = if field == "line" {
            field.to_owned()
        } else {
            format!("{field}[{number}]")
        };
        let key = row_for(reservation, units, action, &field)?;
        let open = reservation.units(&key);
        let requested = rows.entry(key).or_default();
        *requested = requested.saturating_add(units.quantity);
        if *requested > open {
            let requested = *requested;
            return Err(Refusal::ExceedsOpen {
                field,
                open,
                requested,
            });
        }
    }
    Ok(rows.into_iter().collect())
}

/// The row of the named units whose state allows the action. Held and allocated units never stand side by side.
fn row_for(
    reservation: &Reservation,
    units: &Units,
    action: Action,
    field: &str,
) -> Result<RowKey, Refusal> {
    let states = || {
        let of_line = reservation
            .rows
            .keys()
            .filter(|key| key.order_line == units.order_line);
        of_line
            .filter(|key| key.place == units.place)
            .map(|key| key.state)
    };
    let key = |state| RowKey {
        order_line: units.order_line,
        place: units.place.clone(),
        state,
    };
    if let Some(state) = states().find(|state| state.after(action).is_some()) {
        return Ok(key(state));
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
        let Some(row) = reservation.rows.get(from) else {
            continue;
        };
        let moved = Row {
            quantity: *quantity,
            ..row.clone()
        };
        if let (Some(place), Some(move_)) = (&from.place, stock_move(from.state, action)) {
            entries.push(row_entry(reservation, from, place, &moved, move_));
        }
        reservation.split_off(
            from,
            RowKey {
                state,
                ..from.clone()
            },
            *quantity,
        );
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
        (S::Held, Action::Release) => (EntryType::HoldRelease, Account::Held, Account::Available),
        (S::Held, Action::Expire) => (EntryType::HoldExpire, Account::Held, Account::Available),
        (S::Allocated, Action::Release) => (
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
    row: &Row,
    move_: Move,
) -> Entry {
    Entry {
        entry: move_.entry,
        key: LevelKey {
            sku: row.sku.clone(),
            location: place.location.clone(),
            lot: place.lot.clone(),
        },
        from: move_.from,
        to: move_.to,
        quantity: row.quantity,
        cause: format!("reservation/{}/{}", reservation.id, reservation.version + 1),
        line: key.order_line.to_string(),
        reason: String::new(),
        reference: String::new(),
        actor: String::new(),
    }
}
