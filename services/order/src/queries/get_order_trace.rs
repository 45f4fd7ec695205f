//! The traces in which things happened to an order, oldest first.

use oms_core::OrderId;
use time::OffsetDateTime;

use crate::ctx::Ctx;
use crate::domain::timeline::OrderTrace;
use crate::error::Error;
use crate::store::{orders, traces};

/// Traces after a position: when the order was first touched in one, and its id.
pub(crate) async fn get_order_trace(
    ctx: &Ctx,
    order_id: OrderId,
    after: Option<(OffsetDateTime, String)>,
    limit: i64,
) -> Result<Vec<OrderTrace>, Error> {
    let mut conn = ctx.db.snapshot().await?;
    let found = traces::list(&mut conn, order_id, after, limit).await?;
    // Without tracing an order has none.
    if found.is_empty() && !orders::exists(&mut conn, order_id).await? {
        return Err(Error::order_not_found(order_id));
    }
    Ok(found)
}
