//! Fulfillment: which work exists, what was picked and packed, and what no location has.

use std::sync::Arc;

use oms_core::{OrderId, OrderLineId};
use oms_proto::events::v1::Event;
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fulfillment;
use oms_service::ApplyError;
use prost::Message;
use sqlx::PgConnection;

use super::{Work, apply_error, id, store_error, units};
use crate::commands::record_progress::{Progress, record_progress};
use crate::commands::record_short::{Short, record_short};
use crate::domain::release::FulfillmentOrder;
use crate::store::fulfillment_orders;

/// Events that are asked for.
pub(super) const TYPES: &[&str] = &[
    "FulfillmentOrderCreated",
    "FulfillmentOrderStateChanged",
    "FulfillmentOrderPicked",
    "FulfillmentOrderPacked",
    "FulfillmentOrderCanceled",
    "FulfillmentOrderClosed",
    "ShortResolved",
];

/// Applies an event, once.
pub(super) async fn on_event(
    work: &mut Work,
    conn: &mut PgConnection,
    event: &Event,
) -> Result<(), ApplyError> {
    let Some(message) = pb::FulfillmentEvent::decode(&*event.payload)?.event else {
        return Ok(());
    };
    let Ok(order_id) = order_in(&message).parse() else {
        return Ok(());
    };
    if !work.counts(order_id, event) {
        return Ok(());
    }
    match message {
        Fulfillment::FulfillmentOrderPicked(picked) => {
            let lines = picked.lines.iter();
            let units = lines.map(|line| units(&line.order_line_id, line.quantity));
            let units = units.collect::<Result<_, _>>()?;
            progress(work, conn, (order_id, event), Progress::Picked, units).await
        }
        Fulfillment::FulfillmentOrderPacked(packed) => {
            let lines = packed.packages.iter().flat_map(|package| &package.lines);
            let units = lines.map(|line| units(&line.order_line_id, line.quantity));
            let units = units.collect::<Result<_, _>>()?;
            progress(work, conn, (order_id, event), Progress::Packed, units).await
        }
        Fulfillment::ShortResolved(short) => resolved(work, conn, (order_id, event), &short).await,
        other => match row(&other)? {
            Some(row) => keep(work, conn, order_id, row).await,
            None => Ok(()),
        },
    }
}

async fn progress(
    work: &mut Work,
    conn: &mut PgConnection,
    (order_id, event): (OrderId, &Event),
    progress: Progress,
    units: Vec<(OrderLineId, i64)>,
) -> Result<(), ApplyError> {
    let ctx = Arc::clone(&work.ctx);
    let Some(order) = work.order(conn, order_id).await? else {
        return Ok(());
    };
    let what = format!("fulfillment order {}", event.aggregate_id);
    let by = (event.actor.as_str(), what.as_str());
    let recorded = record_progress(conn, &ctx, order, progress, &units, by).await;
    recorded.map_err(apply_error)
}

/// Units that no location has: what becomes of them is decided here.
async fn resolved(
    work: &mut Work,
    conn: &mut PgConnection,
    (order_id, event): (OrderId, &Event),
    short: &pb::ShortResolved,
) -> Result<(), ApplyError> {
    if short.resolution() != pb::ShortResolution::Unfillable {
        return Ok(());
    }
    let (order_line_id, quantity) = units(&short.order_line_id, short.quantity)?;
    let short = Short {
        event_id: id(&event.id, "id")?,
        order_line_id,
        quantity,
    };
    let ctx = Arc::clone(&work.ctx);
    let Some(order) = work.order(conn, order_id).await? else {
        return Ok(());
    };
    let recorded = record_short(conn, &ctx, order, &short, &event.actor).await;
    recorded.map_err(apply_error)
}

/// Keeps the state of a fulfillment order. One that is not known yet is told by its creation. No event: the order itself
/// does not change. It is locked, because the release step writes the same rows.
async fn keep(
    work: &mut Work,
    conn: &mut PgConnection,
    order_id: OrderId,
    row: FulfillmentOrder,
) -> Result<(), ApplyError> {
    if row.location_id.is_empty() {
        work.states.insert(row.fulfillment_order_id, row.state);
        return Ok(());
    }
    work.states.remove(&row.fulfillment_order_id);
    let rows = std::slice::from_ref(&row);
    let written = fulfillment_orders::upsert(conn, order_id, rows).await;
    written.map_err(store_error)?;
    work.orders
        .add_fulfillment_order(order_id, row.fulfillment_order_id);
    Ok(())
}

/// The order that an event is about.
pub(super) fn order_of(event: &Event) -> Option<OrderId> {
    let message = pb::FulfillmentEvent::decode(&*event.payload).ok()?.event?;
    order_in(&message).parse().ok()
}

fn order_in(message: &Fulfillment) -> &str {
    match message {
        Fulfillment::FulfillmentOrderCreated(created) => created
            .fulfillment_order
            .as_ref()
            .map_or("", |one| one.order_id.as_str()),
        Fulfillment::FulfillmentOrderStateChanged(changed) => &changed.order_id,
        Fulfillment::FulfillmentOrderPicked(picked) => &picked.order_id,
        Fulfillment::FulfillmentOrderShorted(shorted) => &shorted.order_id,
        Fulfillment::FulfillmentOrderPacked(packed) => &packed.order_id,
        Fulfillment::FulfillmentOrderCanceled(canceled) => &canceled.order_id,
        Fulfillment::FulfillmentOrderClosed(closed) => &closed.order_id,
        Fulfillment::ShortResolved(resolved) => &resolved.order_id,
    }
}

/// State of a fulfillment order; its location only when it was created.
fn row(message: &Fulfillment) -> Result<Option<FulfillmentOrder>, ApplyError> {
    let (text, location_id, state) = match message {
        Fulfillment::FulfillmentOrderCreated(created) => match &created.fulfillment_order {
            Some(one) => (
                &one.fulfillment_order_id,
                one.location_id.clone(),
                one.state(),
            ),
            None => return Ok(None),
        },
        Fulfillment::FulfillmentOrderStateChanged(changed) => (
            &changed.fulfillment_order_id,
            String::new(),
            changed.state(),
        ),
        Fulfillment::FulfillmentOrderCanceled(canceled) => (
            &canceled.fulfillment_order_id,
            String::new(),
            canceled.state(),
        ),
        Fulfillment::FulfillmentOrderClosed(closed) => (
            &closed.fulfillment_order_id,
            String::new(),
            pb::FulfillmentOrderState::Closed,
        ),
        _ => return Ok(None),
    };
    let name = state.as_str_name();
    let name = name
        .strip_prefix("FULFILLMENT_ORDER_STATE_")
        .unwrap_or(name);
    Ok(Some(FulfillmentOrder {
        fulfillment_order_id: id(text, "fulfillment_order_id")?,
        location_id,
        state: name.to_owned(),
    }))
}
