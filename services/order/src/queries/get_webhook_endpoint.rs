//! One endpoint of webhooks.

use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::webhook::Endpoint;
use crate::error::Error;
use crate::store::webhook_endpoints;

/// The endpoint, without its secrets.
pub(crate) async fn get_webhook_endpoint(ctx: &Ctx, endpoint_id: Uuid) -> Result<Endpoint, Error> {
    let mut conn = ctx.db.read().await?;
    let found = webhook_endpoints::load(&mut conn, endpoint_id).await?;
    found.ok_or_else(|| Error::webhook_endpoint_not_found(endpoint_id))
}
