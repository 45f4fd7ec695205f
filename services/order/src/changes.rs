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
//! [`Orders`] are those of a batch of peers' events: read together when the first is asked for, and written together at
//! the end. Until then a write only notes what is to be written, so their rows are not to be read by other ways.
//!
//! Lock order everywhere: the order first, then its saga, then anything else.

use std::collections::{BTreeSet, HashMap};
use std::ops::{Deref, DerefMut};

use oms_core::{FulfillmentOrderId, OrderId};
use oms_postgres::outbox::{self, Attributes, NewEvent};
use oms_telemetry::TraceContext;
use sqlx::PgConnection;
use uuid::Uuid;

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
    /// In a batch: what its end writes.
    noted: Option<Noted>,
}

/// Changes that are made, but not written yet.
#[derive(Debug, Default)]
struct Noted {
    rows: Vec<TimelineRow>,
    events: Vec<NewEvent>,
    /// In step with the events.
    causes: Vec<TraceContext>,
    has_counted: bool,
}

/// Orders that one transaction has locked, each read once and written once.
#[derive(Debug)]
pub(crate) struct Orders {
    /// Those that exist.
    ids: Vec<Uuid>,
    /// What they are, once one of them was asked for.
    read: Option<HashMap<OrderId, Locked>>,
}

impl Orders {
    /// Locks orders against every other writer, in one order, so that two who lock many cannot lock each other out.
    pub(crate) async fn lock(
        conn: &mut PgConnection,
        ids: &BTreeSet<OrderId>,
    ) -> Result<Self, oms_postgres::Error> {
        let mut ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        if !ids.is_empty() {
            ids = orders::lock_all(conn, &ids).await?;
        }
        Ok(Self { ids, read: None })
    }

    /// Whether there is such an order.
    pub(crate) fn has(&self, order_id: OrderId) -> bool {
        self.ids.contains(&order_id.uuid())
    }

    /// Tells an order of a fulfillment order that was written down for it.
    pub(crate) fn add_fulfillment_order(&mut self, order_id: OrderId, id: FulfillmentOrderId) {
        let order = self.read.as_mut().and_then(|all| all.get_mut(&order_id));
        // One that is not read yet will be read with it.
        if let Some(order) = order.filter(|order| !order.fulfillment_order_ids.contains(&id)) {
            order.order.fulfillment_order_ids.push(id);
        }
    }

    /// One of the orders; `None` when there is no such order.
    pub(crate) async fn get(
        &mut self,
        conn: &mut PgConnection,
        order_id: OrderId,
    ) -> Result<Option<&mut Locked>, Error> {
        if self.read.is_none() {
            let all = orders::load_many(conn, &self.ids).await?.into_iter();
            let all = all.map(|order| (order.order_id, Locked::noting(order)));
            self.read = Some(all.collect());
        }
        Ok(self.read.as_mut().and_then(|all| all.get_mut(&order_id)))
    }

    /// Writes what was noted.
    pub(crate) async fn write(self, conn: &mut PgConnection) -> Result<(), StoreError> {
        let all = self.read.unwrap_or_default().into_values();
        let changed: Vec<(Order, Noted)> = all.filter_map(Locked::into_noted).collect();
        write(conn, &changed).await
    }
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
    Ok(outbox::append(conn, &event(ctx, order, change)).await?)
}

async fn write(conn: &mut PgConnection, changed: &[(Order, Noted)]) -> Result<(), StoreError> {
    if changed.is_empty() {
        return Ok(());
    }
    let saved: Vec<(&Order, &[TimelineRow])> = changed
        .iter()
        .map(|(order, noted)| (order, noted.rows.as_slice()))
        .collect();
    orders::save(conn, &saved).await?;
    let counted = changed.iter().filter(|(_, noted)| noted.has_counted);
    let lines: Vec<_> = counted.flat_map(|(order, _)| &order.lines).collect();
    if !lines.is_empty() {
        lines::save_counters(conn, &lines).await?;
    }
    let events: Vec<NewEvent> = changed
        .iter()
        .flat_map(|(_, noted)| noted.events.clone())
        .collect();
    let causes: Vec<&TraceContext> = changed
        .iter()
        .flat_map(|(_, noted)| &noted.causes)
        .collect();
    Ok(outbox::append_caused(conn, &events, &causes).await?)
}

impl Locked {
    fn new(order: Order) -> Self {
        Self {
            written_state: order.state,
            written_counters: counters(&order),
            order,
            noted: None,
        }
    }

    fn noting(order: Order) -> Self {
        Self {
            noted: Some(Noted::default()),
            ..Self::new(order)
        }
    }

    /// The order and what is to be written of it, if anything is.
    fn into_noted(self) -> Option<(Order, Noted)> {
        let noted = self.noted.filter(|noted| !noted.rows.is_empty())?;
        Some((self.order, noted))
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
        let event = event(ctx, &self.order, change);
        let counters = counters(&self.order);
        let has_counted = counters != self.written_counters;
        self.written_counters = counters;
        self.written_state = self.order.state;
        if let Some(noted) = &mut self.noted {
            noted.rows.push(row);
            noted.events.push(event);
            noted.causes.push(TraceContext::current());
            noted.has_counted |= has_counted;
            return Ok(());
        }
        orders::save(conn, &[(&self.order, &[row])]).await?;
        if has_counted {
            let lines: Vec<_> = self.order.lines.iter().collect();
            lines::save_counters(conn, &lines).await?;
        }
        Ok(outbox::append(conn, &event).await?)
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

fn event(ctx: &Ctx, order: &Order, change: &Change<'_>) -> NewEvent {
    // The span of the transaction, so that a sampler can keep what people will ask about.
    oms_telemetry::record_order_action(&tracing::Span::current(), change.action);
    let (event_type, payload) = messages::event(order, &change.event);
    NewEvent {
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
    }
}
