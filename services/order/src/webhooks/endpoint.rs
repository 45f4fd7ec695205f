//! The one way in which an endpoint changes: one version, one event.

use oms_postgres::outbox::{self, Attributes, NewEvent};
use sqlx::PgConnection;

use crate::ctx::Ctx;
use crate::domain::webhook::{ENDPOINT_AGGREGATE, Endpoint};
use crate::messages;
use crate::store::{StoreError, webhook_endpoints};

/// Writes an endpoint that was changed under its lock. `action` is what was done, in the words of the contract.
pub(crate) async fn save(
    conn: &mut PgConnection,
    ctx: &Ctx,
    endpoint: &mut Endpoint,
    action: &str,
    actor: &str,
) -> Result<(), StoreError> {
    endpoint.version += 1;
    endpoint.updated_at = ctx.now();
    webhook_endpoints::update(conn, endpoint).await?;
    tell(conn, ctx, endpoint, action, actor).await
}

/// Tells of an endpoint as it is now.
pub(crate) async fn tell(
    conn: &mut PgConnection,
    ctx: &Ctx,
    endpoint: &Endpoint,
    action: &str,
    actor: &str,
) -> Result<(), StoreError> {
    let (event_type, payload) = messages::webhook_endpoint_event(endpoint, action);
    let event = NewEvent {
        event_id: ctx.id(),
        aggregate_type: ENDPOINT_AGGREGATE,
        aggregate_id: endpoint.endpoint_id.to_string(),
        aggregate_version: endpoint.version,
        event_type,
        payload,
        actor: actor.to_owned(),
        occurred_at: ctx.now(),
        attributes: Attributes::default(),
    };
    Ok(outbox::append(conn, &event).await?)
}
