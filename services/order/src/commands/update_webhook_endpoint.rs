//! Replaces what can be set of an endpoint of webhooks.

use oms_postgres::{feed, idempotency};
use sqlx::PgConnection;
use uuid::Uuid;

use super::create_webhook_endpoint::CreateWebhookEndpoint;
use super::webhook_filters::check_filters;
use crate::ctx::{Caller, Ctx};
use crate::domain::webhook::{DisableReason, Endpoint, EndpointState};
use crate::error::{Error, check_etag};
use crate::store::{StoreError, webhook_endpoints};
use crate::webhooks::endpoint;

const METHOD: &str = "UpdateWebhookEndpoint";

/// What the endpoint shall be.
#[derive(Clone)]
pub(crate) struct UpdateWebhookEndpoint {
    /// Which.
    pub(crate) endpoint_id: Uuid,
    /// Version that the caller read.
    pub(crate) etag: Option<i64>,
    /// Its settings.
    pub(crate) settings: CreateWebhookEndpoint,
    /// Enable or disable it; `None` leaves it.
    pub(crate) is_enabled: Option<bool>,
}

/// Replaces address, filters and description, and enables or disables. Enabled again, it gets the events from now on; what
/// waited goes on.
pub(crate) async fn update_webhook_endpoint(
    ctx: &Ctx,
    caller: &Caller,
    command: &UpdateWebhookEndpoint,
) -> Result<Endpoint, Error> {
    let updated = ctx.db.run_tx("update_webhook_endpoint", |tx| {
        Box::pin(async move { update(ctx, tx.conn(), caller, command).await })
    });
    let updated = updated.await?;
    ctx.webhooks.wakes.notify_one();
    Ok(updated)
}

async fn update(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    command: &UpdateWebhookEndpoint,
) -> Result<Endpoint, Error> {
    let key = caller.key(METHOD);
    let endpoint_id = command.endpoint_id;
    if idempotency::check(conn, &key).await?.is_some() {
        let found = webhook_endpoints::load(conn, endpoint_id).await?;
        return found.ok_or_else(|| Error::webhook_endpoint_not_found(endpoint_id));
    }
    let locked = webhook_endpoints::lock(conn, endpoint_id).await?;
    let mut endpoint = locked.ok_or_else(|| Error::webhook_endpoint_not_found(endpoint_id))?;
    check_etag(command.etag, endpoint.version)?;
    let settings = &command.settings;
    check_filters(conn, "endpoint.", &settings.channel_ids).await?;
    endpoint.url = settings.url.clone();
    endpoint.event_types = settings.event_types.clone();
    endpoint.channel_ids = settings.channel_ids.clone();
    endpoint.description = settings.description.clone();
    let was_enabled = endpoint.state == EndpointState::Enabled;
    let action = match command.is_enabled {
        Some(true) if !was_enabled => {
            let head: Result<_, StoreError> = feed::head(conn).await.map_err(Into::into);
            endpoint.enable(head?.pos);
            "enable"
        }
        Some(false) if was_enabled => {
            endpoint.disable(DisableReason::Manual);
            "disable"
        }
        _ => "update",
    };
    endpoint::save(conn, ctx, &mut endpoint, action, &caller.actor()).await?;
    idempotency::record(conn, &key, &endpoint_id.to_string()).await?;
    Ok(endpoint)
}
