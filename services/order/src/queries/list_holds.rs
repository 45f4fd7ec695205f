//! Holds, oldest first.

use oms_core::OrderId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::order::Hold;
use crate::error::Error;
use crate::store::holds;

pub(crate) use crate::domain::list::HoldFilter;

/// Holds that the filter selects, after a position.
pub(crate) async fn list_holds(
    ctx: &Ctx,
    filter: &HoldFilter,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<(OrderId, Hold)>, Error> {
    let mut conn = ctx.db.read().await?;
    Ok(holds::list(&mut conn, filter, after, limit).await?)
}
