//! Endpoints of webhooks by id.

use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::webhook::Endpoint;
use crate::error::Error;
use crate::store::webhook_endpoints;

/// Endpoints after an id.
pub(crate) async fn list_webhook_endpoints(
    ctx: &Ctx,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Endpoint>, Error> {
    let mut conn = ctx.db.read().await?;
    Ok(webhook_endpoints::list(&mut conn, after, limit).await?)
}
