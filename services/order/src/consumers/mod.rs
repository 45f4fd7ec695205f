//! What the service does with other services' events: it changes its own rows, or inserts a task.
//!
//! One file per source. Counters that a peer feeds move once per event, by the version of the peer's
//! aggregate, so that a feed may be read again from its beginning. Events of orders that this service does
//! not know are passed over: somebody else made what they tell of.

pub(crate) mod fulfillment;
pub(crate) mod inventory;
pub(crate) mod returns;
pub(crate) mod shipping;

use std::collections::BTreeSet;
use std::str::FromStr;

use oms_core::{OrderId, OrderLineId};
use oms_proto::events::v1::Event;
use oms_service::ApplyError;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Error;
use crate::store::{StoreError, orders, peer_versions};

/// Locks the orders that events are about, before the first is applied: a batch of one feed and one of another that
/// tell of the same orders would lock each other out otherwise.
pub(crate) async fn lock_orders(
    conn: &mut PgConnection,
    events: &[Event],
    order_of: fn(&Event) -> Option<OrderId>,
) -> Result<(), oms_postgres::Error> {
    let ids: BTreeSet<Uuid> = events.iter().filter_map(order_of).map(Into::into).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(());
    }
    orders::lock_all(conn, &ids).await
}

/// True when the event counts: the order is ours, and neither the event nor a later one of its aggregate was here before.
async fn counts(
    conn: &mut PgConnection,
    order_id: OrderId,
    source: &str,
    event: &Event,
) -> Result<bool, ApplyError> {
    oms_telemetry::record_order_id(&tracing::Span::current(), order_id);
    let (id, version) = (&event.aggregate_id, event.aggregate_version);
    peer_versions::advance(conn, order_id, source, id, version)
        .await
        .map_err(store_error)
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
