//! Inventory: what is reserved for an order, and stock that came for units that waited.

use std::sync::Arc;

use oms_core::OrderId;
use oms_proto::events::v1::Event;
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::inventory_event::Event as Inventory;
use oms_service::ApplyError;
use prost::Message;
use sqlx::PgConnection;

use super::{Work, apply_error, id, units};
use crate::commands::record_reservation::{
    Allocated, record_backorder_allocated, record_reservation,
};
use crate::domain::reservation::{ReservationLine, ReservationState};

/// Events that are asked for.
pub(super) const TYPES: &[&str] = &["ReservationChanged", "BackorderAllocated"];

/// Applies an event. The copy of a reservation knows by its version what it has seen.
pub(super) async fn on_event(
    work: &mut Work,
    conn: &mut PgConnection,
    event: &Event,
) -> Result<(), ApplyError> {
    let ctx = Arc::clone(&work.ctx);
    match pb::InventoryEvent::decode(&*event.payload)?.event {
        Some(Inventory::ReservationChanged(changed)) => {
            let Some(reservation) = changed.reservation else {
                return Ok(());
            };
            let Ok(order_id) = reservation.order_id.parse() else {
                return Ok(());
            };
            let how = (event.actor.as_str(), changed.action.as_str());
            let Some(order) = work.order(conn, order_id).await? else {
                return Ok(());
            };
            record_reservation(conn, &ctx, order, reservation, how)
                .await
                .map_err(apply_error)
        }
        Some(Inventory::BackorderAllocated(served)) => {
            let Ok(order_id) = served.order_id.parse() else {
                return Ok(());
            };
            let allocated = allocated(event, &served)?;
            let Some(order) = work.order(conn, order_id).await? else {
                return Ok(());
            };
            record_backorder_allocated(conn, &ctx, order, &allocated, &event.actor)
                .await
                .map_err(apply_error)
        }
        _ => Ok(()),
    }
}

/// The order that an event is about.
pub(super) fn order_of(event: &Event) -> Option<OrderId> {
    match pb::InventoryEvent::decode(&*event.payload).ok()?.event? {
        Inventory::ReservationChanged(changed) => changed.reservation?.order_id.parse().ok(),
        Inventory::BackorderAllocated(served) => served.order_id.parse().ok(),
        _ => None,
    }
}

fn allocated(event: &Event, served: &pb::BackorderAllocated) -> Result<Allocated, ApplyError> {
    let line = |line: &pb::ReservationLine| {
        let (order_line_id, quantity) = units(&line.order_line_id, line.quantity)?;
        Ok::<_, ApplyError>(ReservationLine {
            order_line_id,
            location_id: line.location_id.clone(),
            lot: line.lot.clone(),
            state: ReservationState::Allocated,
            quantity,
        })
    };
    Ok(Allocated {
        event_id: id(&event.id, "id")?,
        version: event.aggregate_version,
        reservation_id: id(&served.reservation_id, "reservation_id")?,
        lines: served.lines.iter().map(line).collect::<Result<_, _>>()?,
    })
}
