//! Reservations.

use oms_proto::common::v1 as common;
use oms_proto::inventory::v1 as pb;
use oms_proto::time_to_proto;

use crate::domain::effect::Allocated;
use crate::domain::reservation::{Reservation, ReservationState, Row, RowKey, Shortage};

/// A reservation with its rows by order line, SKU, location, lot and state.
pub(crate) fn reservation(reservation: &Reservation) -> pb::Reservation {
    // The time by which unconfirmed demand ends is nothing to callers while nothing is held.
    let expires_at = reservation
        .expires_at
        .filter(|_| reservation.state == ReservationState::Held);
    pb::Reservation {
        reservation_id: reservation.id.to_string(),
        order_id: reservation
            .order
            .map(|id| id.to_string())
            .unwrap_or_default(),
        state: state(reservation.state).into(),
        expire_time: expires_at.map(time_to_proto),
        lines: reservation
            .rows
            .iter()
            .map(|(key, units)| row(key, units))
            .collect(),
        etag: reservation.version.to_string(),
        priority: reservation.urgency.class.into(),
        promise_time: reservation.urgency.promise_at.map(time_to_proto),
        ship_complete: reservation.ship_complete,
    }
}

fn row(key: &RowKey, row: &Row) -> pb::ReservationLine {
    let place = key.place.as_ref();
    pb::ReservationLine {
        order_line_id: key.order_line.to_string(),
        sku: key.sku.to_string(),
        location_id: place
            .map(|place| place.location.to_string())
            .unwrap_or_default(),
        lot: place.map(|place| place.lot.clone()).unwrap_or_default(),
        quantity: row.quantity,
        state: state(key.state).into(),
    }
}

/// Units that were allocated just now.
pub(super) fn allocated(units: &Allocated) -> pb::ReservationLine {
    pb::ReservationLine {
        order_line_id: units.order_line.to_string(),
        sku: units.sku.to_string(),
        location_id: units.location.to_string(),
        lot: units.lot.clone(),
        quantity: units.quantity,
        state: pb::ReservationState::Allocated.into(),
    }
}

/// A line that could not be covered, at one location or at all that are eligible.
pub(crate) fn shortage(shortage: &Shortage) -> common::Shortage {
    common::Shortage {
        order_line_id: shortage.order_line.to_string(),
        sku: shortage.sku.to_string(),
        location_id: shortage
            .location
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        requested: shortage.requested,
        available: shortage.available,
        next_supply_time: shortage.next_supply.map(time_to_proto),
    }
}

fn state(state: ReservationState) -> pb::ReservationState {
    match state {
        ReservationState::Held => pb::ReservationState::Held,
        ReservationState::Allocated => pb::ReservationState::Allocated,
        ReservationState::Backordered => pb::ReservationState::Backordered,
        ReservationState::Consumed => pb::ReservationState::Consumed,
        ReservationState::Released => pb::ReservationState::Released,
        ReservationState::Expired => pb::ReservationState::Expired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_has_the_same_names() {
        for one in ReservationState::ALL {
            let name = format!("RESERVATION_STATE_{}", one.as_str());
            assert_eq!(state(one).as_str_name(), name);
        }
    }
}
