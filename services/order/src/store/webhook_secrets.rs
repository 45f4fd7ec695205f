//! Secrets that sign for endpoints of webhooks, sealed.

use oms_seal::WrappedKey;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// A secret as its row keeps it.
#[derive(Debug, Clone)]
pub(crate) struct StoredSecret {
    /// Id.
    pub(crate) secret_id: Uuid,
    /// For whom it signs.
    pub(crate) endpoint_id: Uuid,
    /// Its key under a master key; `None` for a row of before, which is not sealed.
    pub(crate) key: Option<WrappedKey>,
    /// The secret under its key.
    pub(crate) sealed: Vec<u8>,
}

/// Writes a secret as the present one of its endpoint.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    secret: &StoredSecret,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let key = secret.key.as_ref();
    sqlx::query!(
        "INSERT INTO webhook_secrets (secret_id, endpoint_id, master_key_id, wrapped, sealed, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        secret.secret_id,
        secret.endpoint_id,
        key.map(|key| key.master_key_id.as_str()),
        key.map(|key| key.bytes.as_slice()),
        secret.sealed,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends all secrets but the present one, and lets that one end at a time.
pub(crate) async fn retire(
    conn: &mut PgConnection,
    endpoint_id: Uuid,
    expires_at: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM webhook_secrets WHERE endpoint_id = $1 AND expires_at IS NOT NULL",
        endpoint_id
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE webhook_secrets SET expires_at = $2 WHERE endpoint_id = $1",
        endpoint_id,
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets all secrets of an endpoint.
pub(crate) async fn delete(conn: &mut PgConnection, endpoint_id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM webhook_secrets WHERE endpoint_id = $1",
        endpoint_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The secrets that sign now, the present one first.
pub(crate) async fn signing(
    conn: &mut PgConnection,
    endpoint_id: Uuid,
    now: OffsetDateTime,
) -> Result<Vec<StoredSecret>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT secret_id, endpoint_id, master_key_id, wrapped, sealed FROM webhook_secrets
         WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > $2)
         ORDER BY expires_at DESC NULLS FIRST",
        endpoint_id,
        now
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(StoredSecret::from).collect())
}

/// A secret, if it is the present one.
pub(crate) async fn present(
    conn: &mut PgConnection,
    secret_id: Uuid,
) -> Result<Option<StoredSecret>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT secret_id, endpoint_id, master_key_id, wrapped, sealed FROM webhook_secrets
         WHERE secret_id = $1 AND expires_at IS NULL",
        secret_id
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(StoredSecret::from))
}

/// Secrets that are not sealed, or under another master key, locked; rows that others have locked are left for later.
pub(crate) async fn lock_sealed_otherwise(
    conn: &mut PgConnection,
    newest: &str,
    limit: i64,
) -> Result<Vec<StoredSecret>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT secret_id, endpoint_id, master_key_id, wrapped, sealed FROM webhook_secrets
         WHERE master_key_id IS DISTINCT FROM $1 LIMIT $2 FOR UPDATE SKIP LOCKED",
        newest,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(StoredSecret::from).collect())
}

/// Replaces how a secret is sealed. The caller holds its lock.
pub(crate) async fn reseal(
    conn: &mut PgConnection,
    secret: &StoredSecret,
) -> Result<(), StoreError> {
    let key = secret.key.as_ref();
    sqlx::query!(
        "UPDATE webhook_secrets SET master_key_id = $2, wrapped = $3, sealed = $4 WHERE secret_id = $1",
        secret.secret_id,
        key.map(|key| key.master_key_id.as_str()),
        key.map(|key| key.bytes.as_slice()),
        secret.sealed
    )
    .execute(conn)
    .await?;
    Ok(())
}

struct Row {
    secret_id: Uuid,
    endpoint_id: Uuid,
    master_key_id: Option<String>,
    wrapped: Option<Vec<u8>>,
    sealed: Vec<u8>,
}

impl From<Row> for StoredSecret {
    fn from(row: Row) -> Self {
        let key = row.master_key_id.zip(row.wrapped);
        Self {
            secret_id: row.secret_id,
            endpoint_id: row.endpoint_id,
            key: key.map(|(master_key_id, bytes)| WrappedKey {
                master_key_id,
                bytes,
            }),
            sealed: row.sealed,
        }
    }
}
