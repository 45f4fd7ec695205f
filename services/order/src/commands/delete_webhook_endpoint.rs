//! Deletes an endpoint of webhooks.

use oms_postgres::idempotency;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ctx::{Caller, Ctx};
use crate::domain::webhook::EndpointState;
use crate::error::{Error, check_etag};
use crate::store::{webhook_endpoints, webhook_secrets};
use crate::webhooks::endpoint;

const METHOD: &str = "DeleteWebhookEndpoint";

/// Deletes the endpoint and its secrets at once; its deliveries go in the background. `etag` is the version that the caller read.
pub(crate) async fn delete_webhook_endpoint(
    ctx: &Ctx,
    caller: &Caller,
    endpoint_id: Uuid,
    etag: Option<i64>,
) -> Result<(), Error> {
    ctx.db
        .run_tx("delete_webhook_endpoint", |tx| {
            Box::pin(async move { delete(ctx, tx.conn(), caller, endpoint_id, etag).await })
        })
        .await
}

async fn delete(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    endpoint_id: Uuid,
    etag: Option<i64>,
) -> Result<(), Error> {
    let key = caller.key(METHOD);
    if idempotency::check(conn, &key).await?.is_some() {
        return Ok(());
    }
    let locked = webhook_endpoints::lock(conn, endpoint_id).await?;
    let mut endpoint = locked.ok_or_else(|| Error::webhook_endpoint_not_found(endpoint_id))?;
    check_etag(etag, endpoint.version)?;
    endpoint.state = EndpointState::Deleted;
    endpoint.reason = None;
    webhook_secrets::delete(conn, endpoint_id).await?;
    endpoint::save(conn, ctx, &mut endpoint, "delete", &caller.actor()).await?;
    Ok(idempotency::record(conn, &key, &endpoint_id.to_string()).await?)
}
