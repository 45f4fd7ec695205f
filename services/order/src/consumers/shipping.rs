//! Shipping: what was handed over and what arrived. Shipments of returns belong to the returns service.

use std::sync::Arc;

use oms_core::{OrderId, OrderLineId};
use oms_proto::events::v1::Event;
use oms_proto::shipping::v1 as pb;
use oms_proto::shipping::v1::shipping_event::Event as Shipping;
use oms_service::ApplyError;
use prost::Message;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Work, apply_error, id, units};
use crate::commands::record_shipment::{Shipped, record_delivery, record_shipment};
use crate::ctx::Ctx;

/// Events that are asked for.
pub(super) const TYPES: &[&str] = &["ShipmentShipped", "ShipmentDelivered"];

/// Applies an event, once.
pub(super) async fn on_event(
    work: &mut Work,
    conn: &mut PgConnection,
    event: &Event,
) -> Result<(), ApplyError> {
    let Some((shipment, delivered)) = shipment(event)? else {
        return Ok(());
    };
    let Ok(order_id) = shipment.order_id.parse() else {
        return Ok(());
    };
    if !work.counts(order_id, event) {
        return Ok(());
    }
    let shipped = Shipped {
        shipment_id: id(&shipment.shipment_id, "shipment_id")?,
        shipped_at: shipped_at(&work.ctx, &shipment),
        units: contents(&shipment)?,
    };
    let actor = event.actor.as_str();
    let ctx = Arc::clone(&work.ctx);
    let Some(order) = work.order(conn, order_id).await? else {
        return Ok(());
    };
    let applied = if delivered {
        record_delivery(conn, &ctx, order, &shipped, actor).await
    } else {
        record_shipment(conn, &ctx, order, &shipped, actor).await
    };
    applied.map_err(apply_error)
}

/// The order that an event is about.
pub(super) fn order_of(event: &Event) -> Option<OrderId> {
    let (shipment, _) = shipment(event).ok()??;
    shipment.order_id.parse().ok()
}

/// The shipment to a customer, and whether it was delivered.
fn shipment(event: &Event) -> Result<Option<(pb::Shipment, bool)>, ApplyError> {
    let (shipment, delivered) = match pb::ShippingEvent::decode(&*event.payload)?.event {
        Some(Shipping::ShipmentShipped(shipped)) => (shipped.shipment, false),
        Some(Shipping::ShipmentDelivered(delivered)) => (delivered.shipment, true),
        _ => return Ok(None),
    };
    let shipment = shipment.filter(|one| one.direction() != pb::ShipmentDirection::Return);
    Ok(shipment.map(|one| (one, delivered)))
}

fn shipped_at(ctx: &Ctx, shipment: &pb::Shipment) -> OffsetDateTime {
    shipment
        .ship_time
        .and_then(|time| oms_proto::time_from_proto(time).ok())
        .unwrap_or_else(|| ctx.now())
}

fn contents(shipment: &pb::Shipment) -> Result<Vec<(OrderLineId, i64)>, ApplyError> {
    let lines = shipment.packages.iter().flat_map(|package| &package.lines);
    lines
        .map(|line| units(&line.order_line_id, line.quantity))
        .collect()
}
