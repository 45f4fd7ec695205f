//! Stops work that has not started.

use oms_core::FulfillmentOrderId;
use sqlx::PgConnection;

use super::begun;
use crate::changes::{self, Axes};
use crate::ctx::{Call, Ctx};
use crate::domain::fulfillment_order::FulfillmentOrder;
use crate::domain::refusal::check_etag;
use crate::error::Error;
use crate::store;

/// Holds a fulfillment order; `etag` is the version that the caller read.
pub(crate) async fn hold_fulfillment_order(
    ctx: &Ctx,
    call: &Call,
    id: FulfillmentOrderId,
    etag: Option<i64>,
    reason: &str,
) -> Result<FulfillmentOrder, Error> {
    ctx.db
        .run_tx("hold_fulfillment_order", |tx| {
            Box::pin(async move { run(tx.conn(), ctx, call, id, etag, reason).await })
        })
        .await
}

async fn run(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    id: FulfillmentOrderId,
    etag: Option<i64>,
    reason: &str,
) -> Result<FulfillmentOrder, Error> {
    if let Some(id) = begun(conn, call, id.uuid()).await? {
        return found(conn, FulfillmentOrderId::new(id)).await;
    }
    let mut order = locked(conn, id).await?;
    call.is_about(order.order_id);
    check_etag(etag, order.version)?;
    let before = Axes::of(&order);
    order.hold(reason)?;
    changes::save(conn, ctx, call.actor(), &mut order, before, Vec::new()).await?;
    Ok(order)
}

/// A fulfillment order that must be there.
pub(crate) async fn found(
    conn: &mut PgConnection,
    id: FulfillmentOrderId,
) -> Result<FulfillmentOrder, Error> {
    let order = store::fulfillment_orders::get(conn, id).await?;
    order.ok_or_else(|| Error::not_found("fulfillment_order", id))
}

/// The same, locked until the transaction ends.
pub(crate) async fn locked(
    conn: &mut PgConnection,
    id: FulfillmentOrderId,
) -> Result<FulfillmentOrder, Error> {
    let order = store::fulfillment_orders::lock(conn, id).await?;
    order.ok_or_else(|| Error::not_found("fulfillment_order", id))
}
