//! Open orders whose next stage is late or soon will be.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::stage::{AtRisk, Stage};
use crate::error::Error;
use crate::store::stages;

/// The most urgent first, after a position: those that are due within this time, or those that are at risk as the configuration
/// says.
pub(crate) async fn list_at_risk(
    ctx: &Ctx,
    stage: Option<Stage>,
    within: Option<Duration>,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<AtRisk>, Error> {
    let now = ctx.now();
    let (within, half) = match within {
        Some(within) => (within, None),
        None => (ctx.config.deadlines.at_risk(), Some(now)),
    };
    let until = now.saturating_add(within);
    let mut conn = ctx.db.read().await?;
    Ok(stages::due(&mut conn, until, half, stage, after, limit).await?)
}
