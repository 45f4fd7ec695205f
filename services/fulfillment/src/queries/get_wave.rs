//! Answers one wave.

use oms_core::WaveId;

use crate::ctx::Ctx;
use crate::domain::picking::Wave;
use crate::error::Error;
use crate::store;

/// Answers one wave.
pub(crate) async fn get_wave(ctx: &Ctx, id: WaveId) -> Result<Wave, Error> {
    let mut conn = ctx.db.snapshot().await?;
    let found = store::waves::get(&mut conn, id).await?;
    found.ok_or_else(|| Error::not_found("wave", id))
}
