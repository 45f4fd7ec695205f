//! Creates an endpoint of webhooks with its first secret.

use oms_postgres::{feed, idempotency};
use sqlx::PgConnection;

use super::webhook_filters::check_filters;
use crate::ctx::{Caller, Ctx};
use crate::domain::webhook::{Endpoint, EndpointState};
use crate::error::Error;
use crate::store::{webhook_endpoints, webhook_secrets};
use crate::webhooks::endpoint;
use crate::webhooks::secret::Secret;

use super::rotate_webhook_secret::{Keyed, replayed, resource};

const METHOD: &str = "CreateWebhookEndpoint";

/// What the endpoint shall be.
#[derive(Clone)]
pub(crate) struct CreateWebhookEndpoint {
    /// Checked by the guard.
    pub(crate) url: String,
    /// Known types; empty for all.
    pub(crate) event_types: Vec<String>,
    /// Channels; empty for all.
    pub(crate) channel_ids: Vec<String>,
    /// What it is for.
    pub(crate) description: String,
}

/// Creates the endpoint, enabled for the events from now on; answers it with its secret.
pub(crate) async fn create_webhook_endpoint(
    ctx: &Ctx,
    caller: &Caller,
    command: &CreateWebhookEndpoint,
) -> Result<Keyed, Error> {
    ctx.db
        .run_tx("create_webhook_endpoint", |tx| {
            Box::pin(async move { create(ctx, tx.conn(), caller, command).await })
        })
        .await
}

async fn create(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    command: &CreateWebhookEndpoint,
) -> Result<Keyed, Error> {
    let key = caller.key(METHOD);
    if let Some(resource) = idempotency::check(conn, &key).await? {
        return replayed(ctx, conn, &resource).await;
    }
    check_filters(conn, "", &command.channel_ids).await?;
    let now = ctx.now();
    let endpoint = Endpoint {
        endpoint_id: ctx.id(),
        url: command.url.clone(),
        event_types: command.event_types.clone(),
        channel_ids: command.channel_ids.clone(),
        description: command.description.clone(),
        state: EndpointState::Enabled,
        reason: None,
        failing_since: None,
        after_pos: feed::head(conn).await?.pos,
        version: 1,
        created_by: caller.actor(),
        created_at: now,
        updated_at: now,
        previous_secret_expires_at: None,
    };
    let (endpoint_id, secret_id) = (endpoint.endpoint_id, ctx.id());
    let secret = Secret::generate()?;
    webhook_endpoints::insert(conn, &endpoint).await?;
    let sealed = secret.seal(&ctx.masters, endpoint_id, secret_id)?;
    webhook_secrets::insert(conn, &sealed, now).await?;
    endpoint::tell(conn, ctx, &endpoint, "create", &caller.actor()).await?;
    idempotency::record(conn, &key, &resource(endpoint_id, secret_id)).await?;
    Ok(Keyed {
        endpoint,
        secret: Some(secret),
    })
}
