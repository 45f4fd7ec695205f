//! Writes changed fulfillment orders together with the events that tell of it.

use oms_postgres::outbox::{self, Attributes, NewEvent};
use oms_proto::fulfillment::v1::fulfillment_event::Event;
use oms_proto::fulfillment::v1::{
    FulfillmentEvent, FulfillmentOrderClosed, FulfillmentOrderStateChanged,
};
use prost::Message as _;
use sqlx::PgConnection;

use crate::ctx::Ctx;
use crate::domain::fulfillment_order::FulfillmentOrder;
use crate::domain::state::{FloorStage, State};
use crate::error::Error;
use crate::messages;
use crate::store;

/// State and stage before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axes(State, FloorStage);

impl Axes {
    pub(crate) fn of(order: &FulfillmentOrder) -> Self {
        Self(order.state, order.stage)
    }
}

/// Writes a changed fulfillment order with its counters, the given events, and those that follow
/// from a change of its axes.
pub(crate) async fn save(
    conn: &mut PgConnection,
    ctx: &Ctx,
    actor: &str,
    order: &mut FulfillmentOrder,
    before: Axes,
    mut events: Vec<Event>,
) -> Result<(), Error> {
    events.extend(of_axes(before, order));
    order.version += 1;
    order.updated_at = ctx.clock.now();
    publish(conn, ctx, actor, order, events).await?;
    Ok(store::fulfillment_orders::save(conn, order).await?)
}

/// Appends events of a fulfillment order. Its row is locked, and the caller writes its sequence.
pub(crate) async fn publish(
    conn: &mut PgConnection,
    ctx: &Ctx,
    actor: &str,
    order: &mut FulfillmentOrder,
    events: Vec<Event>,
) -> Result<(), Error> {
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        order.event_sequence += 1;
        let message = FulfillmentEvent { event: Some(event) };
        rows.push(NewEvent {
            event_id: ctx.ids.next(),
            aggregate_type: "fulfillment_order",
            aggregate_id: order.id.to_string(),
            aggregate_version: order.event_sequence,
            event_type: message.event_type(),
            payload: message.encode_to_vec(),
            actor: actor.to_owned(),
            occurred_at: ctx.clock.now(),
            attributes: Attributes {
                channel_id: (!order.channel_id.is_empty()).then(|| order.channel_id.clone()),
                location_id: Some(order.location_id.to_string()),
                partner_id: None,
            },
        });
    }
    Ok(outbox::append_all(conn, &rows).await?)
}

/// The events that follow from a change of state or stage. A cancellation tells its state itself.
fn of_axes(before: Axes, order: &FulfillmentOrder) -> Vec<Event> {
    let mut events = Vec::new();
    if before == Axes::of(order) {
        return events;
    }
    if order.state != State::Canceled {
        events.push(Event::FulfillmentOrderStateChanged(
            FulfillmentOrderStateChanged {
                fulfillment_order_id: order.id.to_string(),
                order_id: order.order_id.to_string(),
                state: messages::state(order.state).into(),
                floor_stage: messages::floor_stage(order.stage).into(),
            },
        ));
    }
    if order.state == State::Closed {
        events.push(Event::FulfillmentOrderClosed(FulfillmentOrderClosed {
            fulfillment_order_id: order.id.to_string(),
            order_id: order.order_id.to_string(),
        }));
    }
    events
}
