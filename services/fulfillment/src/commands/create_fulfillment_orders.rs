//! Creates one fulfillment order per location of an order's allocated units.

use std::collections::HashMap;

use oms_core::{LocationId, OrderLineId, ReservationId, Violations};
use oms_proto::fulfillment::v1::FulfillmentOrderCreated;
use oms_proto::fulfillment::v1::fulfillment_event::Event;
use sqlx::PgConnection;

use super::{record, replayed};
use crate::changes;
use crate::ctx::{Call, Ctx};
use crate::domain::creation::{self, Allocation, OrderFacts};
use crate::domain::fulfillment_order::{FulfillmentOrder, Item};
use crate::error::Error;
use crate::messages;
use crate::store;

/// Allocated units as the order service tells them, without what only inventory knows of the item.
#[derive(Debug, Clone)]
pub(crate) struct AllocatedLine {
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// Stock keeping unit.
    pub(crate) sku: String,
    /// Location.
    pub(crate) location_id: LocationId,
    /// Lot; empty when none.
    pub(crate) lot: String,
    /// Units.
    pub(crate) quantity: i64,
    /// Reservation that holds them.
    pub(crate) reservation_id: ReservationId,
}

/// Creates the fulfillment orders; answers them by location.
pub(crate) async fn create_fulfillment_orders(
    ctx: &Ctx,
    call: &Call,
    facts: &OrderFacts,
    lines: &[AllocatedLine],
) -> Result<Vec<FulfillmentOrder>, Error> {
    call.is_about(facts.order_id);
    let mut skus: Vec<String> = lines.iter().map(|line| line.sku.clone()).collect();
    skus.sort();
    skus.dedup();
    let items = ctx.inventory.items(&skus).await.map_err(Error::inventory)?;
    let allocations = &allocations(lines, &items)?;
    ctx.db
        .run_tx("create_fulfillment_orders", |tx| {
            Box::pin(async move { run(tx.conn(), ctx, call, facts, allocations).await })
        })
        .await
}

fn allocations(
    lines: &[AllocatedLine],
    items: &HashMap<String, Item>,
) -> Result<Vec<Allocation>, Violations> {
    let mut violations = Violations::default();
    let mut allocations = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let Some(item) = items.get(&line.sku) else {
            violations.push(format!("lines[{index}].sku"), "SKU_UNKNOWN", "no such item");
            continue;
        };
        allocations.push(Allocation {
            order_line_id: line.order_line_id,
            location_id: line.location_id.clone(),
            lot: line.lot.clone(),
            quantity: line.quantity,
            reservation_id: line.reservation_id,
            item: item.clone(),
        });
    }
    violations.into_result()?;
    Ok(allocations)
}

async fn run(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    facts: &OrderFacts,
    allocations: &[Allocation],
) -> Result<Vec<FulfillmentOrder>, Error> {
    call.is_about(facts.order_id);
    if let Some(batch_id) = replayed(conn, call).await? {
        return Ok(store::fulfillment_orders::of_batch(conn, batch_id).await?);
    }
    if let Some(proposal_id) = facts.proposal_id {
        let order_id = store::proposals::order_of(conn, proposal_id).await?;
        if order_id != Some(facts.order_id) {
            return Err(Error::reference("proposal_id", "proposal of this order"));
        }
    }
    let (actor, now) = (call.actor(), ctx.clock.now());
    let mut orders = creation::create(facts, call.key.request_id, allocations.to_vec(), actor, now);
    insert(conn, ctx, actor, &mut orders).await?;
    if let Some(proposal_id) = facts.proposal_id {
        store::proposals::append_outcomes(conn, proposal_id, &orders, now).await?;
    }
    record(conn, call, call.key.request_id).await?;
    Ok(orders)
}

/// Inserts new fulfillment orders and tells of them.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    ctx: &Ctx,
    actor: &str,
    orders: &mut [FulfillmentOrder],
) -> Result<(), Error> {
    for order in orders.iter_mut() {
        let created = FulfillmentOrderCreated {
            fulfillment_order: Some(messages::fulfillment_order(order)),
        };
        let event = Event::FulfillmentOrderCreated(created);
        changes::publish(conn, ctx, actor, order, vec![event]).await?;
    }
    Ok(store::fulfillment_orders::insert_all(conn, orders).await?)
}
