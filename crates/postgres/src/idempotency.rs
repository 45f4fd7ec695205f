//! Request ids: a repeated call answers what the first one did, and does nothing.
//!
//! Both calls belong into the transaction of the command: [`check`] as its first statement, before
//! anything is locked or compared, and [`record`] when the effect is written. A concurrent repeat
//! waits in [`check`] until the first call has ended: then it replays, or, if that one failed, runs
//! itself. It never sees half of the first one, such as a version that has moved on.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;

/// What makes two calls the same call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// Who calls, such as `user:alice`.
    pub principal: String,
    /// Which RPC, such as `"PlaceOrder"`.
    pub method: &'static str,
    /// The id that the caller chose.
    pub request_id: Uuid,
    /// SHA-256 of the request without `request_id` and `wait_for`.
    pub hash: [u8; 32],
}

/// Begins the call: the id of its resource if it succeeded before, else `None`.
///
/// # Errors
/// [`Error::RequestIdReused`] when the id came before with another body.
pub async fn check(conn: &mut PgConnection, key: &RequestKey) -> Result<Option<String>, Error> {
    let begun = sqlx::query!(
        "insert into idempotency (principal, method, request_id, request_hash)
         values ($1, $2, $3, $4) on conflict (principal, method, request_id) do nothing",
        key.principal,
        key.method,
        key.request_id,
        key.hash.as_slice(),
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if begun > 0 {
        Ok(None)
    } else {
        find(conn, key).await
    }
}

/// [`check`] that only reads, for use outside of a transaction: to spare a repeated call the
/// questions that it would ask its peers first.
///
/// # Errors
/// [`Error::RequestIdReused`] when the id came before with another body.
pub async fn find(conn: &mut PgConnection, key: &RequestKey) -> Result<Option<String>, Error> {
    let found = sqlx::query!(
        "select request_hash, resource_id from idempotency
         where principal = $1 and method = $2 and request_id = $3",
        key.principal,
        key.method,
        key.request_id,
    )
    .fetch_optional(conn)
    .await?;
    match found {
        None => Ok(None),
        Some(row) if row.request_hash == key.hash => Ok(row.resource_id),
        Some(_) => Err(Error::RequestIdReused),
    }
}

/// Records that the call succeeds with this transaction. Without it, a call that commits is run
/// again when it is repeated.
pub async fn record(
    conn: &mut PgConnection,
    key: &RequestKey,
    resource_id: &str,
) -> Result<(), Error> {
    let recorded = sqlx::query!(
        "insert into idempotency as i (principal, method, request_id, request_hash, resource_id)
         values ($1, $2, $3, $4, $5)
         on conflict (principal, method, request_id) do update set resource_id = $5
         where i.request_hash = $4 and (i.resource_id is null or i.resource_id = $5)",
        key.principal,
        key.method,
        key.request_id,
        key.hash.as_slice(),
        resource_id,
    )
    .execute(conn)
    .await?
    .rows_affected();
    if recorded > 0 {
        return Ok(());
    }
    // Only without a check before: another call has succeeded meanwhile. The next attempt sees it.
    Err(Error::transient("23505"))
}
