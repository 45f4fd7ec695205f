//! The one way in which an order changes: it is locked, changed, and written with exactly one event and
//! one row of the timeline, under the next version.
//!
//! ```text
//! let mut order = changes::lock(conn, order_id).await?;         // waits for other writers
//! check_etag(etag, order.version)?;
//! order.instructions = ..;                                      // derefs to the domain's Order
//! order.write(conn, ctx, &Change { actor, action: "update_order", detail: String::new(), event: Event::Updated }).await?;
//! ```
//! Several writes in one transaction are several events. Rows of other tables (holds, payments, ..) are
//! written by their store functions before; what of them stands in [`Order`] is brought up to date in
//! memory first, since the event carries the order as it is after the change.
//!
//! Lock order everywhere: the order first, then its saga, then anything else.

use std::ops::{Deref, DerefMut};

use oms_core::OrderId;
use oms_postgres::outbox::{self, Attributes, NewEvent};
use oms_telemetry::TraceContext;
use sqlx::PgConnection;

use crate::ctx::Ctx;
use crate::domain::order::{Counters, Order};
use crate::domain::state::OrderState;
use crate::domain::timeline::TimelineRow;
use crate::error::Error;
use crate::messages;
pub(crate) use crate::messages::Event;
use crate::store::{StoreError, lines, orders, timeline};

/// One change of an order.
#[derive(Debug, Clone)]
pub(crate) struct Change<'a> {
    /// Who, such as `user:alice`.
    pub(crate) actor: &'a str,
    /// What was done, in snake case, such as `place_hold`.
    pub(crate) action: &'a str,
    /// Details for people; no personal data.
    pub(crate) detail: String,
    /// What subscribers hear.
    pub(crate) event: Event,
}

/// An order whose row this transaction has locked.
#[derive(Debug)]
pub(crate) struct Locked {
    order: Order,
    /// State at the last write.
    written_state: OrderState,
    /// Counters of the lines at the last write.
    written_counters: Vec<Counters>,
}

impl Deref for Locked {
    type Target = Order;

    fn deref(&self) -> &Order {
        &self.order
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut Order {
        &mut self.order
    }
}

/// Locks an order against every other writer and reads it.
pub(crate) async fn lock(conn: &mut PgConnection, order_id: OrderId) -> Result<Locked, Error> {
    // The span of the transaction.
    oms_telemetry::record_order_id(&tracing::Span::current(), order_id);
    let order = orders::lock(conn, order_id).await?;
    let order = order.ok_or_else(|| Error::order_not_found(order_id))?;
    Ok(Locked::new(order))
}

/// Reads an order that this transaction has locked; `None` when there is none.
pub(crate) async fn read_locked(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<Option<Locked>, Error> {
    Ok(orders::load(conn, order_id).await?.map(Locked::new))
}

fn counters(order: &Order) -> Vec<Counters> {
    order.lines.iter().map(|line| line.counters).collect()
}

/// Writes a new order with its first event and timeline row.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Order,
    change: &Change<'_>,
) -> Result<(), StoreError> {
    oms_telemetry::record_order_id(&tracing::Span::current(), order.order_id);
    order.version = 1;
    order.timeline_sequence = 1;
    orders::insert(conn, order).await?;
    let row = timeline_row(order, "", change, order.created_at);
    timeline::append(conn, order.order_id, &row).await?;
    append_event(conn, ctx, order, change).await
}

impl Locked {
    fn new(order: Order) -> Self {
        Self {
            written_state: order.state,
            written_counters: counters(&order),
            order,
        }
    }

    /// Writes the order as it is now: one version, one event, one row of the timeline.
    pub(crate) async fn write(
        &mut self,
        conn: &mut PgConnection,
        ctx: &Ctx,
        change: &Change<'_>,
    ) -> Result<(), StoreError> {
        let now = ctx.now();
        self.order.version += 1;
        self.order.timeline_sequence += 1;
        self.order.updated_at = now;
        let row = timeline_row(&self.order, self.written_state.as_str(), change, now);
        orders::save(conn, &self.order, &row).await?;
        let counters = counters(&self.order);
        if counters != self.written_counters {
            lines::save_counters(conn, &self.order.lines).await?;
            self.written_counters = counters;
        }
        append_event(conn, ctx, &self.order, change).await?;
        self.written_state = self.order.state;
        Ok(())
    }

    /// The order, once nothing more is to be written.
    pub(crate) fn into_order(self) -> Order {
        self.order
    }
}

fn timeline_row(
    order: &Order,
    from_state: &str,
    change: &Change<'_>,
    now: time::OffsetDateTime,
) -> TimelineRow {
    let to_state = order.state.as_str();
    let changed = from_state != to_state;
    TimelineRow {
        sequence: order.timeline_sequence,
        occurred_at: now,
        actor: change.actor.to_owned(),
        action: change.action.to_owned(),
        from_state: if changed {
            from_state.to_owned()
        } else {
            String::new()
        },
        to_state: if changed {
            to_state.to_owned()
        } else {
            String::new()
        },
        detail: change.detail.clone(),
        trace_id: TraceContext::current()
            .trace_id()
            .unwrap_or_default()
            .to_owned(),
        linked_trace_id: oms_telemetry::linked_trace_id(),
    }
}

async fn append_event(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &Order,
    change: &Change<'_>,
) -> Result<(), StoreError> {
    // The span of the transaction, so that a sampler can keep what people will ask about.
    oms_telemetry::record_order_action(&tracing::Span::current(), change.action);
    let (event_type, payload) = messages::event(order, &change.event);
    let event = NewEvent {
        event_id: ctx.id(),
        aggregate_type: "order",
        aggregate_id: order.order_id.to_string(),
        aggregate_version: order.version,
        event_type,
        payload,
        actor: change.actor.to_owned(),
        occurred_at: order.updated_at,
        attributes: Attributes {
            channel_id: Some(order.channel_id.clone()),
            ..Attributes::default()
        },
    };
    Ok(outbox::append(conn, &event).await?)
}
