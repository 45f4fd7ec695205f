//! Orders, newest first.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::list::OrderFilter;
use crate::domain::order::Order;
use crate::error::Error;
use crate::store::{lists, orders};

/// Orders of these channels that the filter selects, after a position; `None` for all channels.
pub(crate) async fn list_orders(
    ctx: &Ctx,
    filter: &OrderFilter,
    channels: Option<Vec<String>>,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Order>, Error> {
    let mut conn = ctx.db.snapshot().await?;
    let page = lists::list_orders(&mut conn, filter, channels.as_deref(), after, limit).await?;
    let ids: Vec<Uuid> = page.into_iter().map(|(_, order_id)| order_id).collect();
    Ok(orders::load_many(&mut conn, &ids).await?)
}
