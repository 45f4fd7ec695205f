//! Events of the shipping service: shipments that left.

use std::str::FromStr;

use oms_core::Principal;
use oms_proto::events::v1::Event;
use oms_proto::shipping::v1::shipping_event::Event as Fact;
use oms_proto::shipping::v1::{PackageLine, Shipment, ShipmentDirection, ShippingEvent};
use oms_service::ApplyError;
use prost::Message as _;
use sqlx::PgConnection;

use crate::commands::count_shipment::{ShippedLine, ShippedUnits, count_shipment};
use crate::ctx::Ctx;
use crate::error::Error;

/// Events that matter here.
pub(crate) const TYPES: &[&str] = &["ShipmentShipped"];

/// Counts the units of an outbound shipment in its fulfillment order.
pub(crate) async fn on_shipping_event(
    ctx: &Ctx,
    conn: &mut PgConnection,
    event: &Event,
) -> Result<(), ApplyError> {
    let payload = ShippingEvent::decode(event.payload.as_slice())?;
    let Some(Fact::ShipmentShipped(shipped)) = payload.event else {
        return Ok(());
    };
    let shipment = shipped.shipment.unwrap_or_default();
    if shipment.direction() == ShipmentDirection::Return {
        return Ok(());
    }
    let shipped = read(event, &shipment)?;
    count_shipment(conn, ctx, &shipped)
        .await
        .map_err(|error| match error {
            Error::Database(error) => ApplyError::Database(error),
            error => ApplyError::rejected(error),
        })
}

fn read(event: &Event, shipment: &Shipment) -> Result<ShippedUnits, ApplyError> {
    let actor: Principal = field("actor", &event.actor)?;
    let lines = shipment.packages.iter().flat_map(|package| &package.lines);
    Ok(ShippedUnits {
        event_id: field("id", &event.id)?,
        actor: actor.to_string(),
        shipment_id: field("shipment_id", &shipment.shipment_id)?,
        fulfillment_order_id: field("fulfillment_order_id", &shipment.fulfillment_order_id)?,
        pack_session_id: field("pack_session_id", &shipment.pack_session_id)?,
        units: lines.map(units).collect::<Result<_, _>>()?,
    })
}

fn units(line: &PackageLine) -> Result<ShippedLine, ApplyError> {
    let text = &line.fulfillment_order_line_id;
    let line_id = if text.is_empty() {
        None
    } else {
        Some(field("fulfillment_order_line_id", text)?)
    };
    let order_line_id = field("order_line_id", &line.order_line_id)?;
    Ok(ShippedLine {
        line_id,
        order_line_id,
        quantity: line.quantity,
    })
}

fn field<T: FromStr>(name: &str, text: &str) -> Result<T, ApplyError> {
    text.parse()
        .map_err(|_| ApplyError::rejected(format!("{name} {text:?} cannot be read")))
}
