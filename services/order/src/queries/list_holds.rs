//! Holds, oldest first.

use oms_core::OrderId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::order::Hold;
use crate::error::Error;
use crate::store::holds;

/// Holds of one order or all, active ones or all, after a position.
pub(crate) async fn list_holds(
    ctx: &Ctx,
    order_id: Option<OrderId>,
    active_only: bool,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<(OrderId, Hold)>, Error> {
    let mut conn = ctx.db.read().await?;
    Ok(holds::list(&mut conn, order_id, active_only, after, limit).await?)
}
