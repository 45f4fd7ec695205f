//! Request ids: a repeated call answers what the first one did, and does nothing.
//!
//! Both calls belong into the transaction of the command: [`check`] first, [`record`] when the
//! effect is written. Two concurrent calls with one id meet in [`record`]; the later one is rolled
//! back by `run_tx`, runs again and finds the row of the first.

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

/// Looks the call up: the id of its resource if it succeeded before, else `None`.
///
/// # Errors
/// [`Error::RequestIdReused`] when the id came before with another body.
pub async fn check(conn: &mut PgConnection, key: &RequestKey) -> Result<Option<String>, Error> {
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
        Some(row) if row.request_hash == key.hash => Ok(Some(row.resource_id)),
        Some(_) => Err(Error::RequestIdReused),
    }
}

/// Records that the call succeeds with this transaction.
pub async fn record(
    conn: &mut PgConnection,
    key: &RequestKey,
    resource_id: &str,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into idempotency (principal, method, request_id, request_hash, resource_id)
         values ($1, $2, $3, $4, $5)",
        key.principal,
        key.method,
        key.request_id,
        key.hash.as_slice(),
        resource_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}
