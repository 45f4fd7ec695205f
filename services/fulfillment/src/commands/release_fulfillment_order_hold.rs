//! Ends a hold.

use oms_core::FulfillmentOrderId;
use sqlx::PgConnection;

use super::begun;
use super::hold_fulfillment_order::{found, locked};
use crate::changes::{self, Axes};
use crate::ctx::{Call, Ctx};
use crate::domain::fulfillment_order::FulfillmentOrder;
use crate::domain::refusal::check_etag;
use crate::error::Error;

/// Releases the hold of a fulfillment order; `etag` is the version that the caller read.
pub(crate) async fn release_fulfillment_order_hold(
    ctx: &Ctx,
    call: &Call,
    id: FulfillmentOrderId,
    etag: Option<i64>,
) -> Result<FulfillmentOrder, Error> {
    ctx.db
        .run_tx("release_fulfillment_order_hold", |tx| {
            Box::pin(async move { run(tx.conn(), ctx, call, id, etag).await })
        })
        .await
}

async fn run(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    id: FulfillmentOrderId,
    etag: Option<i64>,
) -> Result<FulfillmentOrder, Error> {
    if let Some(id) = begun(conn, call, id.uuid()).await? {
        return found(conn, FulfillmentOrderId::new(id)).await;
    }
    let mut order = locked(conn, id).await?;
    call.is_about(order.order_id);
    check_etag(etag, order.version)?;
    let before = Axes::of(&order);
    order.release_hold()?;
    changes::save(conn, ctx, call.actor(), &mut order, before, Vec::new()).await?;
    Ok(order)
}
