//! Shipping: what was handed over and what arrived. Shipments of returns belong to the returns service.

use oms_core::{OrderId, OrderLineId};
use oms_proto::events::v1::Event;
use oms_proto::shipping::v1 as pb;
use oms_proto::shipping::v1::shipping_event::Event as Shipping;
use oms_service::ApplyError;
use prost::Message;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{apply_error, counts, id, units};
use crate::commands::record_shipment::{Shipped, record_delivery, record_shipment};
use crate::ctx::Ctx;

/// Events that are asked for.
pub(crate) const TYPES: &[&str] = &["ShipmentShipped", "ShipmentDelivered"];

/// Applies an event, once.
pub(crate) async fn on_event(
    ctx: &Ctx,
    conn: &mut PgConnection,
    event: &Event,
) -> Result<(), ApplyError> {
    let Some((shipment, delivered)) = shipment(event)? else {
        return Ok(());
    };
    let Ok(order_id) = shipment.order_id.parse() else {
        return Ok(());
    };
    if !counts(conn, order_id, "shipping", event).await? {
        return Ok(());
    }
    let shipped = Shipped {
        shipment_id: id(&shipment.shipment_id, "shipment_id")?,
        shipped_at: shipped_at(ctx, &shipment),
        units: contents(&shipment)?,
    };
    let actor = event.actor.as_str();
    let applied = if delivered {
        record_delivery(conn, ctx, order_id, &shipped, actor).await
    } else {
        record_shipment(conn, ctx, order_id, &shipped, actor).await
    };
    applied.map_err(apply_error)
}

/// The order that an event is about.
pub(crate) fn order_of(event: &Event) -> Option<OrderId> {
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
