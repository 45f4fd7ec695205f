//! Channels by id.

use crate::ctx::Ctx;
use crate::domain::new_order::Channel;
use crate::error::Error;
use crate::store::channels;

/// Channels after an id: of these, `None` for all.
pub(crate) async fn list_channels(
    ctx: &Ctx,
    among: Option<Vec<String>>,
    after: &str,
    limit: i64,
) -> Result<Vec<Channel>, Error> {
    let mut conn = ctx.db.read().await?;
    Ok(channels::list(&mut conn, among.as_deref(), after, limit).await?)
}
