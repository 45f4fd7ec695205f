//! An order's history, oldest first.

use oms_core::OrderId;

use crate::ctx::Ctx;
use crate::domain::timeline::TimelineRow;
use crate::error::Error;
use crate::store::{orders, timeline};

/// Rows of the timeline after a sequence number.
pub(crate) async fn get_order_timeline(
    ctx: &Ctx,
    order_id: OrderId,
    after: i64,
    limit: i64,
) -> Result<Vec<TimelineRow>, Error> {
    let mut conn = ctx.db.snapshot().await?;
    let rows = timeline::list(&mut conn, order_id, after, limit).await?;
    // An order has a row from its first moment on.
    if rows.is_empty() && !orders::exists(&mut conn, order_id).await? {
        return Err(Error::order_not_found(order_id));
    }
    Ok(rows)
}
