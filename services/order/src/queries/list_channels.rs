//! Channels by id.

use crate::ctx::Ctx;
use crate::domain::new_order::Channel;
use crate::error::Error;
use crate::store::channels;

/// Channels after an id.
pub(crate) async fn list_channels(
    ctx: &Ctx,
    after: &str,
    limit: i64,
) -> Result<Vec<Channel>, Error> {
    let mut conn = ctx.db.read().await?;
    Ok(channels::list(&mut conn, after, limit).await?)
}
