//! How many open orders wait for what, where, and since when.

use crate::ctx::Ctx;
use crate::domain::stage::Backlog;
use crate::error::Error;
use crate::store::stages::{self, Horizon};

/// By stage and location, as it is now.
pub(crate) async fn get_backlog(ctx: &Ctx) -> Result<Vec<Backlog>, Error> {
    let now = ctx.now();
    let until = now.saturating_add(ctx.config.deadlines.at_risk());
    let mut conn = ctx.db.read().await?;
    Ok(stages::backlog(&mut conn, Horizon { now, until }).await?)
}
