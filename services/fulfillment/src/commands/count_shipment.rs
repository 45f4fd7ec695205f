//! Counts the units of a shipment that left, and closes work that is done. Runs in the
//! transaction of the consumer.

use std::collections::BTreeMap;

use oms_core::{FulfillmentOrderId, OrderLineId, PackSessionId, ShipmentId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::hold_fulfillment_order;
use crate::changes::{self, Axes};
use crate::ctx::Ctx;
use crate::domain::fulfillment_order::{FulfillmentOrder, LineUnits};
use crate::domain::refusal::Refusal;
use crate::error::Error;
use crate::store;
use crate::store::counted_shipments::CountedShipment;

/// A shipment that left a location.
#[derive(Debug)]
pub(crate) struct ShippedUnits {
    /// Event that said so.
    pub(crate) event_id: Uuid,
    /// Who handed it over.
    pub(crate) actor: String,
    /// Shipment.
    pub(crate) shipment_id: ShipmentId,
    /// Fulfillment order.
    pub(crate) fulfillment_order_id: FulfillmentOrderId,
    /// Session that it was made of.
    pub(crate) pack_session_id: PackSessionId,
    /// What is in its packages; a line may stand here several times.
    pub(crate) units: Vec<ShippedLine>,
}

/// Units in a package.
#[derive(Debug)]
pub(crate) struct ShippedLine {
    /// Line of the fulfillment order; `None` when the shipment was made by hand and does not say.
    pub(crate) line_id: Option<Uuid>,
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// Units.
    pub(crate) quantity: i64,
}

/// Counts a shipment once, however often it is told.
pub(crate) async fn count_shipment(
    conn: &mut PgConnection,
    ctx: &Ctx,
    shipped: &ShippedUnits,
) -> Result<(), Error> {
    let mut order = hold_fulfillment_order::locked(conn, shipped.fulfillment_order_id).await?;
    oms_telemetry::record_order_id(&tracing::Span::current(), order.order_id);
    let counted = CountedShipment {
        shipment_id: shipped.shipment_id,
        fulfillment_order_id: order.id,
        pack_session_id: shipped.pack_session_id,
        event_id: shipped.event_id,
        counted_at: ctx.clock.now(),
    };
    if !store::counted_shipments::insert(conn, counted).await? {
        return Ok(());
    }
    let units = units(&order, &shipped.units)?;
    let before = Axes::of(&order);
    order.ship(&units)?;
    changes::save(conn, ctx, &shipped.actor, &mut order, before, Vec::new()).await
}

/// Units per line of the fulfillment order. Where only the order line is known, its lines are filled
/// in their order as far as each has packed units.
fn units(order: &FulfillmentOrder, shipped: &[ShippedLine]) -> Result<Vec<LineUnits>, Refusal> {
    let mut sums: BTreeMap<Uuid, i64> = BTreeMap::new();
    for unit in shipped {
        if let Some(line_id) = unit.line_id {
            *sums.entry(line_id).or_default() += unit.quantity;
            continue;
        }
        let mut left = unit.quantity;
        for line in order
            .lines
            .iter()
            .filter(|line| line.order_line_id == unit.order_line_id)
        {
            let sum = sums.entry(line.id).or_default();
            let part = (line.packed - line.shipped - *sum).clamp(0, left);
            *sum += part;
            left -= part;
        }
        if left > 0 {
            let open = unit.quantity - left;
            return Err(Refusal::QuantityExceedsOpen {
                open,
                requested: unit.quantity,
            });
        }
    }
    let units = sums.into_iter().filter(|(_, quantity)| *quantity > 0);
    Ok(units
        .map(|(line_id, quantity)| LineUnits { line_id, quantity })
        .collect())
}
