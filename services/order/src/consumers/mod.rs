//! What the service does with other services' events: it changes its own rows, or inserts a task.
//!
//! One file per source. Counters that a peer feeds move once per event, by the version of the peer's
//! aggregate, so that a feed may be read again from its beginning. Events of orders that this service does
//! not know are passed over: somebody else made what they tell of.
//!
//! The orders of a batch are locked before its first event, in one order: a batch of one feed and one of another that
//! tell of the same orders would lock each other out otherwise. They are read once and written once, at its end.

mod fulfillment;
mod inventory;
mod returns;
mod shipping;

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;
use std::sync::Arc;

use futures::future::BoxFuture;
use oms_core::{FulfillmentOrderId, OrderId, OrderLineId};
use oms_proto::events::v1::Event;
use oms_service::{ApplyError, Batch, FeedConsumer};
use sqlx::PgConnection;

use crate::changes::{Locked, Orders};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::store::{StoreError, fulfillment_orders, peer_versions};

/// Whose events they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// What is reserved for an order, and stock that came for units that waited.
    Inventory,
    /// Which work exists, what was picked and packed, and what no location has.
    Fulfillment,
    /// What was handed over and what arrived.
    Shipping,
    /// What was asked to come back, what came, and what is to be paid back.
    Returns,
}

impl Source {
    /// All four.
    pub(crate) const ALL: [Self; 4] = [
        Self::Inventory,
        Self::Fulfillment,
        Self::Shipping,
        Self::Returns,
    ];

    /// The name of the service.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Fulfillment => "fulfillment",
            Self::Shipping => "shipping",
            Self::Returns => "returns",
        }
    }

    /// The name of the background work that reads its feed.
    pub(crate) fn feed(self) -> &'static str {
        match self {
            Self::Inventory => "inventory feed",
            Self::Fulfillment => "fulfillment feed",
            Self::Shipping => "shipping feed",
            Self::Returns => "returns feed",
        }
    }

    /// Events that are asked for.
    fn types(self) -> &'static [&'static str] {
        match self {
            Self::Inventory => inventory::TYPES,
            Self::Fulfillment => fulfillment::TYPES,
            Self::Shipping => shipping::TYPES,
            Self::Returns => returns::TYPES,
        }
    }

    /// The order that an event is about.
    fn order_of(self, event: &Event) -> Option<OrderId> {
        match self {
            Self::Inventory => inventory::order_of(event),
            Self::Fulfillment => fulfillment::order_of(event),
            Self::Shipping => shipping::order_of(event),
            Self::Returns => returns::order_of(event),
        }
    }

    /// The consumer of the source's feed.
    pub(crate) fn consume(self, ctx: Arc<Ctx>, consumer: FeedConsumer) -> FeedConsumer {
        let consumer = consumer.types(self.types());
        consumer.batches(move |conn, events| {
            let ctx = Arc::clone(&ctx);
            Box::pin(async move {
                let work = Work::begin(ctx, conn, self, events).await?;
                Ok(Box::new(work) as Box<dyn Batch>)
            })
        })
    }
}

/// The events of one transaction.
struct Work {
    ctx: Arc<Ctx>,
    source: Source,
    orders: Orders,
    /// Versions of the peer's aggregates that counted before, and now.
    versions: HashMap<String, i64>,
    advanced: HashMap<String, i64>,
    /// States of fulfillment orders to be written.
    states: HashMap<FulfillmentOrderId, String>,
}

impl Work {
    async fn begin(
        ctx: Arc<Ctx>,
        conn: &mut PgConnection,
        source: Source,
        events: &[Event],
    ) -> Result<Self, oms_postgres::Error> {
        let ids: BTreeSet<OrderId> = events
            .iter()
            .filter_map(|one| source.order_of(one))
            .collect();
        let orders = Orders::lock(conn, &ids).await?;
        // After the lock, as whoever advances a version holds it. The copy of a reservation knows its own version.
        let versions = if source == Source::Inventory {
            HashMap::new()
        } else {
            let aggregates: BTreeSet<&str> = events.iter().map(|one| &*one.aggregate_id).collect();
            peer_versions::of(conn, source.name(), aggregates).await?
        };
        Ok(Self {
            ctx,
            source,
            orders,
            versions,
            advanced: HashMap::new(),
            states: HashMap::new(),
        })
    }

    /// True when the event counts: the order is ours, and neither the event nor a later one of its aggregate was here
    /// before.
    fn counts(&mut self, order_id: OrderId, event: &Event) -> bool {
        oms_telemetry::record_order_id(&tracing::Span::current(), order_id);
        let (id, version) = (&event.aggregate_id, event.aggregate_version);
        let counted = self.versions.get(id).is_some_and(|last| *last >= version);
        if counted || !self.orders.has(order_id) {
            return false;
        }
        self.versions.insert(id.clone(), version);
        self.advanced.insert(id.clone(), version);
        true
    }

    async fn order(
        &mut self,
        conn: &mut PgConnection,
        order_id: OrderId,
    ) -> Result<Option<&mut Locked>, ApplyError> {
        self.orders.get(conn, order_id).await.map_err(apply_error)
    }
}

impl Batch for Work {
    fn apply<'t>(
        &'t mut self,
        conn: &'t mut PgConnection,
        event: &'t Event,
    ) -> BoxFuture<'t, Result<(), ApplyError>> {
        Box::pin(async move {
            match self.source {
                Source::Inventory => inventory::on_event(self, conn, event).await,
                Source::Fulfillment => fulfillment::on_event(self, conn, event).await,
                Source::Shipping => shipping::on_event(self, conn, event).await,
                Source::Returns => returns::on_event(self, conn, event).await,
            }
        })
    }

    fn finish(self: Box<Self>, conn: &mut PgConnection) -> BoxFuture<'_, Result<(), ApplyError>> {
        Box::pin(async move {
            let written = async {
                self.orders.write(conn).await?;
                fulfillment_orders::set_states(conn, &self.states).await?;
                peer_versions::advance(conn, self.source.name(), &self.advanced).await
            };
            written.await.map_err(store_error)
        })
    }
}

fn id<T: FromStr>(text: &str, field: &str) -> Result<T, ApplyError> {
    text.parse()
        .map_err(|_| ApplyError::rejected(format!("{field} {text:?} cannot be read")))
}

/// Units of an order line.
fn units(order_line_id: &str, quantity: i64) -> Result<(OrderLineId, i64), ApplyError> {
    if quantity < 0 {
        return Err(ApplyError::rejected(format!(
            "{quantity} units of {order_line_id}"
        )));
    }
    Ok((id(order_line_id, "order_line_id")?, quantity))
}

fn store_error(error: StoreError) -> ApplyError {
    apply_error(error.into())
}

fn apply_error(error: Error) -> ApplyError {
    match error {
        Error::Store(StoreError::Database(error)) => error.into(),
        other => ApplyError::rejected(other),
    }
}
