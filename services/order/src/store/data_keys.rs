//! Keys that personal data is sealed under. A row without a key is the record of an erasure.

use oms_core::OrderId;
use oms_seal::WrappedKey;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::erasure::{Erasure, Subject};

use super::StoreError;

/// A key that is in use.
#[derive(Debug, Clone)]
pub(crate) struct StoredKey {
    /// Id.
    pub(crate) key_id: Uuid,
    /// The key under a master key.
    pub(crate) wrapped: WrappedKey,
}

impl StoredKey {
    fn of(key_id: Uuid, master_key_id: String, bytes: Vec<u8>) -> Self {
        let wrapped = WrappedKey {
            master_key_id,
            bytes,
        };
        Self { key_id, wrapped }
    }
}

/// The subject's key, kept from being erased before this transaction ends; `None` when it has none.
pub(crate) async fn hold(
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<Option<StoredKey>, StoreError> {
    match subject {
        Subject::Customer(customer_id) => {
            let row = sqlx::query!(
                r#"SELECT key_id, master_key_id AS "master_key_id!", wrapped AS "wrapped!" FROM data_keys
                   WHERE customer_id = $1 AND customer_id <> '' AND wrapped IS NOT NULL FOR SHARE"#,
                customer_id
            )
            .fetch_optional(conn)
            .await?;
            Ok(row.map(|row| StoredKey::of(row.key_id, row.master_key_id, row.wrapped)))
        }
        Subject::Order(order_id) => {
            let row = sqlx::query!(
                r#"SELECT key_id, master_key_id AS "master_key_id!", wrapped AS "wrapped!" FROM data_keys
                   WHERE order_id = $1 AND wrapped IS NOT NULL FOR SHARE"#,
                order_id.uuid()
            )
            .fetch_optional(conn)
            .await?;
            Ok(row.map(|row| StoredKey::of(row.key_id, row.master_key_id, row.wrapped)))
        }
    }
}

/// Locks the subject's key against everybody who would use it; its id, or `None` when it has none.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<Option<Uuid>, StoreError> {
    let (customer_id, order_id) = subject.columns();
    let found = sqlx::query_scalar!(
        "SELECT key_id FROM data_keys
         WHERE wrapped IS NOT NULL AND ((customer_id = $1 AND customer_id <> '') OR order_id = $2)
         FOR UPDATE",
        customer_id,
        order_id
    )
    .fetch_optional(conn)
    .await?;
    Ok(found)
}

/// Writes a new key; false when somebody else was faster.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    subject: &Subject,
    key: &StoredKey,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let (customer_id, order_id) = subject.columns();
    let inserted = sqlx::query!(
        "INSERT INTO data_keys (key_id, customer_id, order_id, master_key_id, wrapped, created_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        key.key_id,
        customer_id,
        order_id,
        key.wrapped.master_key_id,
        key.wrapped.bytes,
        now
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// Keys that another master key wrapped, locked; rows that others have locked are left for later.
pub(crate) async fn lock_wrapped_otherwise(
    conn: &mut PgConnection,
    newest: &str,
    limit: i64,
) -> Result<Vec<StoredKey>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT key_id, master_key_id AS "master_key_id!", wrapped AS "wrapped!" FROM data_keys
           WHERE wrapped IS NOT NULL AND (master_key_id < $1 OR master_key_id > $1)
           LIMIT $2 FOR UPDATE SKIP LOCKED"#,
        newest,
        limit
    )
    .fetch_all(conn)
    .await?;
    let key = |row| {
        let (key_id, master_key_id, wrapped): (Uuid, String, Vec<u8>) = row;
        StoredKey::of(key_id, master_key_id, wrapped)
    };
    Ok(rows
        .into_iter()
        .map(|row| key((row.key_id, row.master_key_id, row.wrapped)))
        .collect())
}

/// Replaces what a key is wrapped in.
pub(crate) async fn rewrap(
    conn: &mut PgConnection,
    key_id: Uuid,
    wrapped: &WrappedKey,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE data_keys SET master_key_id = $2, wrapped = $3 WHERE key_id = $1 AND wrapped IS NOT NULL",
        key_id,
        wrapped.master_key_id,
        wrapped.bytes
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets a key that this transaction has locked; so many events tell of it.
pub(crate) async fn erase(
    conn: &mut PgConnection,
    key_id: Uuid,
    actor: &str,
    now: OffsetDateTime,
    told: i32,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE data_keys SET master_key_id = NULL, wrapped = NULL, erased_at = $2, erased_by = $3, told = $4
         WHERE key_id = $1",
        key_id,
        now,
        actor,
        told
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many events told of the subject's erasures, and the last time.
pub(crate) async fn erasures(
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<Option<Erasure>, StoreError> {
    let (customer_id, order_id) = subject.columns();
    let row = sqlx::query!(
        r#"SELECT coalesce(sum(told), 0)::int8 AS "told!", max(erased_at) AS last FROM data_keys
           WHERE erased_at IS NOT NULL AND ((customer_id = $1 AND customer_id <> '') OR order_id = $2)"#,
        customer_id,
        order_id
    )
    .fetch_one(conn)
    .await?;
    Ok(row.last.map(|erased_at| Erasure {
        told: row.told,
        erased_at,
    }))
}

/// Whose data an order's is.
pub(crate) async fn subject_of(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<Option<Subject>, StoreError> {
    let customer_id = sqlx::query_scalar!(
        "SELECT customer_id FROM orders WHERE order_id = $1",
        order_id.uuid()
    )
    .fetch_optional(conn)
    .await?;
    Ok(customer_id.map(|customer_id| Subject::of(order_id, &customer_id)))
}
