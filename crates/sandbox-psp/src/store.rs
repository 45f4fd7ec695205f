//! The only SQL of the provider.

use oms_postgres::Error;
use sqlx::PgConnection;
use sqlx::error::DatabaseError;

use crate::charge::Charge;

/// Makes the provider's database on this server unless it is there.
pub(crate) async fn create_database(server: &mut PgConnection) -> Result<(), Error> {
    let made = sqlx::raw_sql("CREATE DATABASE oms_sandbox_psp")
        .execute(server)
        .await;
    match made {
        Err(error) if !is_there(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether the database could not be made because somebody has made it.
fn is_there(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    // duplicate_database; unique_violation where two make it at the same time.
    matches!(code.as_deref(), Some("42P04" | "23505"))
}

/// Writes a charge. False when its key is known.
pub(crate) async fn insert(conn: &mut PgConnection, charge: &Charge) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "INSERT INTO charges (idempotency_key, kind, reference, parent_reference, token, amount, currency,
             approved, decline_code, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT ON CONSTRAINT charges_pkey DO NOTHING",
        charge.idempotency_key,
        charge.kind,
        charge.reference,
        charge.parent_reference,
        charge.token,
        charge.amount,
        charge.currency,
        charge.approved,
        charge.decline_code,
        charge.created_at,
        charge.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The charge with this key.
pub(crate) async fn find(
    conn: &mut PgConnection,
    idempotency_key: &str,
) -> Result<Option<Charge>, Error> {
    let charge = sqlx::query_as!(
        Charge,
        "SELECT idempotency_key, kind, reference, parent_reference, token, amount, currency, approved,
             decline_code, created_at, expires_at
         FROM charges WHERE idempotency_key = $1",
        idempotency_key
    )
    .fetch_optional(conn)
    .await?;
    Ok(charge)
}

/// Locks the charge with this reference, so that what hangs on it is counted by one caller at a time.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    reference: &str,
) -> Result<Option<Charge>, Error> {
    let charge = sqlx::query_as!(
        Charge,
        "SELECT idempotency_key, kind, reference, parent_reference, token, amount, currency, approved,
             decline_code, created_at, expires_at
         FROM charges WHERE reference = $1 FOR UPDATE",
        reference
    )
    .fetch_optional(conn)
    .await?;
    Ok(charge)
}

/// What was taken from a charge: approved captures and voids of an authorization, refunds of a capture.
pub(crate) async fn used(conn: &mut PgConnection, reference: &str) -> Result<i64, Error> {
    let used = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(amount), 0)::int8 AS "used!" FROM charges
         WHERE parent_reference = $1 AND parent_reference <> '' AND approved"#,
        reference
    )
    .fetch_one(conn)
    .await?;
    Ok(used)
}

/// Charges in the order of their keys, after this one.
pub(crate) async fn list(
    conn: &mut PgConnection,
    after_key: &str,
    limit: i64,
) -> Result<Vec<Charge>, Error> {
    let charges = sqlx::query_as!(
        Charge,
        "SELECT idempotency_key, kind, reference, parent_reference, token, amount, currency, approved,
             decline_code, created_at, expires_at
         FROM charges WHERE idempotency_key > $1 ORDER BY idempotency_key LIMIT $2",
        after_key,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(charges)
}
