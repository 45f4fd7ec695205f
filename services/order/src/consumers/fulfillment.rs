//! Fulfillment: which work exists, what was picked and packed, and what no location has.

use oms_core::OrderId;
use oms_proto::events::v1::Event;
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fulfillment;
use oms_service::ApplyError;
use prost::Message;
use sqlx::PgConnection;

use super::{apply_error, counts, id, units};
use crate::commands::record_progress::{Progress, record_fulfillment_order, record_progress};
use crate::commands::record_short::{Short, record_short};
use crate::ctx::Ctx;
use crate::domain::release::FulfillmentOrder;

/// Events that are asked for.
pub(crate) const TYPES: &[&str] = &[
    "FulfillmentOrderCreated",
    "FulfillmentOrderStateChanged",
    "FulfillmentOrderPicked",
    "FulfillmentOrderPacked",
    "FulfillmentOrderCanceled",
    "FulfillmentOrderClosed",
    "ShortResolved",
];

/// Applies an event, once.
pub(crate) async fn on_event(
    ctx: &Ctx,
    conn: &mut PgConnection,
    event: &Event,
) -> Result<(), ApplyError> {
    let Some(message) = pb::FulfillmentEvent::decode(&*event.payload)?.event else {
        return Ok(());
    };
    let Ok(order_id) = order_in(&message).parse() else {
        return Ok(());
    };
    if !counts(conn, order_id, "fulfillment", event).await? {
        return Ok(());
    }
    let work = format!("fulfillment order {}", event.aggregate_id);
    let by = (event.actor.as_str(), work.as_str());
    let applied = match message {
        Fulfillment::FulfillmentOrderPicked(picked) => {
            let lines = picked.lines.iter();
            let units = lines
                .map(|line| units(&line.order_line_id, line.quantity))
                .collect::<Result<Vec<_>, _>>()?;
            record_progress(conn, ctx, order_id, Progress::Picked, &units, by).await
        }
        Fulfillment::FulfillmentOrderPacked(packed) => {
            let lines = packed.packages.iter().flat_map(|package| &package.lines);
            let units = lines
                .map(|line| units(&line.order_line_id, line.quantity))
                .collect::<Result<Vec<_>, _>>()?;
            record_progress(conn, ctx, order_id, Progress::Packed, &units, by).await
        }
        Fulfillment::ShortResolved(short) => {
            if short.resolution() != pb::ShortResolution::Unfillable {
                return Ok(());
            }
            let (order_line_id, quantity) = units(&short.order_line_id, short.quantity)?;
            let short = Short {
                event_id: id(&event.id, "id")?,
                order_line_id,
                quantity,
            };
            record_short(conn, ctx, order_id, &short, &event.actor).await
        }
        other => {
            let Some(row) = row(&other)? else {
                return Ok(());
            };
            record_fulfillment_order(conn, order_id, &row).await
        }
    };
    applied.map_err(apply_error)
}

/// The order that an event is about.
pub(crate) fn order_of(event: &Event) -> Option<OrderId> {
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
