//! Endpoints of webhooks.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::webhook::{DisableReason, Endpoint, EndpointState};

use super::StoreError;

/// Reads an endpoint that was not deleted.
pub(crate) async fn load(
    conn: &mut PgConnection,
    endpoint_id: Uuid,
) -> Result<Option<Endpoint>, StoreError> {
    let row = sqlx::query_as!(
        EndpointRow,
        "SELECT e.*, (SELECT max(s.expires_at) FROM webhook_secrets s WHERE s.endpoint_id = e.endpoint_id)
             AS previous_secret_expires_at
         FROM webhook_endpoints e WHERE endpoint_id = $1 AND state <> 'DELETED'",
        endpoint_id
    )
    .fetch_optional(conn)
    .await?;
    row.map(Endpoint::try_from).transpose()
}

/// Locks an endpoint against other writers and reads it.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    endpoint_id: Uuid,
) -> Result<Option<Endpoint>, StoreError> {
    let locked = sqlx::query_scalar!(
        "SELECT 1 FROM webhook_endpoints WHERE endpoint_id = $1 FOR NO KEY UPDATE",
        endpoint_id
    )
    .fetch_optional(&mut *conn)
    .await?;
    match locked {
        Some(_) => load(conn, endpoint_id).await,
        None => Ok(None),
    }
}

/// Creates an endpoint.
pub(crate) async fn insert(conn: &mut PgConnection, endpoint: &Endpoint) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO webhook_endpoints (endpoint_id, url, event_types, channel_ids, description, state, state_reason,
             failing_since, after_pos, version, created_by, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        endpoint.endpoint_id,
        endpoint.url,
        &endpoint.event_types,
        &endpoint.channel_ids,
        endpoint.description,
        endpoint.state.as_str(),
        endpoint.reason.map_or("", DisableReason::as_str),
        endpoint.failing_since,
        endpoint.after_pos,
        endpoint.version,
        endpoint.created_by,
        endpoint.created_at,
        endpoint.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Replaces an endpoint. The caller holds its lock.
pub(crate) async fn update(conn: &mut PgConnection, endpoint: &Endpoint) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE webhook_endpoints SET url = $2, event_types = $3, channel_ids = $4, description = $5, state = $6,
             state_reason = $7, failing_since = $8, after_pos = $9, version = $10, updated_at = $11
         WHERE endpoint_id = $1",
        endpoint.endpoint_id,
        endpoint.url,
        &endpoint.event_types,
        &endpoint.channel_ids,
        endpoint.description,
        endpoint.state.as_str(),
        endpoint.reason.map_or("", DisableReason::as_str),
        endpoint.failing_since,
        endpoint.after_pos,
        endpoint.version,
        endpoint.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A page of endpoints by id.
pub(crate) async fn list(
    conn: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Endpoint>, StoreError> {
    let rows = sqlx::query_as!(
        EndpointRow,
        "SELECT e.*, (SELECT max(s.expires_at) FROM webhook_secrets s WHERE s.endpoint_id = e.endpoint_id)
             AS previous_secret_expires_at
         FROM webhook_endpoints e WHERE endpoint_id > $1 AND state <> 'DELETED' ORDER BY endpoint_id LIMIT $2",
        after,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Endpoint::try_from).collect()
}

/// All endpoints that get events.
pub(crate) async fn enabled(conn: &mut PgConnection) -> Result<Vec<Endpoint>, StoreError> {
    let rows = sqlx::query_as!(
        EndpointRow,
        "SELECT e.*, NULL::timestamptz AS previous_secret_expires_at
         FROM webhook_endpoints e WHERE state = 'ENABLED' ORDER BY endpoint_id",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Endpoint::try_from).collect()
}

/// Notes that it works, or since when it does not, if that is news.
pub(crate) async fn note_health(
    conn: &mut PgConnection,
    endpoint_id: Uuid,
    failing_since: Option<OffsetDateTime>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE webhook_endpoints SET failing_since = $2
         WHERE endpoint_id = $1 AND (failing_since IS NULL) <> ($2::timestamptz IS NULL)",
        endpoint_id,
        failing_since
    )
    .execute(conn)
    .await?;
    Ok(())
}

struct EndpointRow {
    endpoint_id: Uuid,
    url: String,
    event_types: Vec<String>,
    channel_ids: Vec<String>,
    description: String,
    state: String,
    state_reason: String,
    failing_since: Option<OffsetDateTime>,
    after_pos: i64,
    version: i64,
    created_by: String,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    previous_secret_expires_at: Option<OffsetDateTime>,
}

impl TryFrom<EndpointRow> for Endpoint {
    type Error = StoreError;

    fn try_from(row: EndpointRow) -> Result<Self, StoreError> {
        let state = EndpointState::parse(&row.state);
        let state = state.ok_or_else(|| {
            StoreError::inconsistent("webhook_endpoints", "state", row.endpoint_id)
        })?;
        Ok(Self {
            endpoint_id: row.endpoint_id,
            url: row.url,
            event_types: row.event_types,
            channel_ids: row.channel_ids,
            description: row.description,
            state,
            reason: DisableReason::parse(&row.state_reason),
            failing_since: row.failing_since,
            after_pos: row.after_pos,
            version: row.version,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
            previous_secret_expires_at: row.previous_secret_expires_at,
        })
    }
}
