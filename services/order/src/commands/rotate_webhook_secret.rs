//! Gives an endpoint of webhooks another secret.

use std::time::Duration;

use oms_postgres::idempotency;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ctx::{Caller, Ctx};
use crate::domain::webhook::Endpoint;
use crate::error::Error;
use crate::store::{StoreError, webhook_endpoints, webhook_secrets};
use crate::webhooks::endpoint;
use crate::webhooks::secret::Secret;

const METHOD: &str = "RotateWebhookSecret";

/// An endpoint with a secret that was made for it.
#[derive(Debug)]
pub(crate) struct Keyed {
    /// The endpoint.
    pub(crate) endpoint: Endpoint,
    /// `None` in the repeat of a call whose secret is not the present one any more.
    pub(crate) secret: Option<Secret>,
}

impl Keyed {
    /// The secret as its receiver is given it; empty when it is not told any more.
    pub(crate) fn reveal(&self) -> String {
        self.secret.as_ref().map(Secret::reveal).unwrap_or_default()
    }
}

/// What idempotency keeps of a call that made a secret.
pub(super) fn resource(endpoint_id: Uuid, secret_id: Uuid) -> String {
    format!("{endpoint_id}/{secret_id}")
}

/// What such a call answers when it is repeated.
pub(super) async fn replayed(
    ctx: &Ctx,
    conn: &mut PgConnection,
    resource: &str,
) -> Result<Keyed, Error> {
    let ids = resource.split_once('/');
    let ids =
        ids.and_then(|(endpoint, secret)| Some((endpoint.parse().ok()?, secret.parse().ok()?)));
    let (endpoint_id, secret_id): (Uuid, Uuid) =
        ids.ok_or_else(|| StoreError::inconsistent("idempotency", "resource_id", resource))?;
    let found = webhook_endpoints::load(conn, endpoint_id).await?;
    let endpoint = found.ok_or_else(|| Error::webhook_endpoint_not_found(endpoint_id))?;
    let stored = webhook_secrets::present(conn, secret_id).await?;
    let secret = stored.map(|stored| Secret::open(&ctx.masters, &stored));
    Ok(Keyed {
        endpoint,
        secret: secret.transpose()?,
    })
}

/// Makes another secret; the present one signs beside it for `overlap`, and one before that no more.
pub(crate) async fn rotate_webhook_secret(
    ctx: &Ctx,
    caller: &Caller,
    endpoint_id: Uuid,
    overlap: Duration,
) -> Result<Keyed, Error> {
    ctx.db
        .run_tx("rotate_webhook_secret", |tx| {
            Box::pin(async move { rotate(ctx, tx.conn(), caller, endpoint_id, overlap).await })
        })
        .await
}

async fn rotate(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    endpoint_id: Uuid,
    overlap: Duration,
) -> Result<Keyed, Error> {
    let key = caller.key(METHOD);
    if let Some(resource) = idempotency::check(conn, &key).await? {
        return replayed(ctx, conn, &resource).await;
    }
    let locked = webhook_endpoints::lock(conn, endpoint_id).await?;
    let mut endpoint = locked.ok_or_else(|| Error::webhook_endpoint_not_found(endpoint_id))?;
    let now = ctx.now();
    let (secret, secret_id) = (Secret::generate()?, ctx.id());
    let expires_at = now + overlap;
    webhook_secrets::retire(conn, endpoint_id, expires_at).await?;
    let sealed = secret.seal(&ctx.masters, endpoint_id, secret_id)?;
    webhook_secrets::insert(conn, &sealed, now).await?;
    endpoint.previous_secret_expires_at = Some(expires_at);
    endpoint::save(conn, ctx, &mut endpoint, "rotate_secret", &caller.actor()).await?;
    idempotency::record(conn, &key, &resource(endpoint_id, secret_id)).await?;
    Ok(Keyed {
        endpoint,
        secret: Some(secret),
    })
}
