//! The books of the sandbox payment provider. Only the provider's adapter works on them.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;

/// What the sandbox did or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Charge {
    /// Key that the caller gave.
    pub(crate) idempotency_key: String,
    /// Name of the payment kind.
    pub(crate) kind: String,
    /// The provider's reference.
    pub(crate) reference: String,
    /// Reference of the authorization or capture it belongs to; empty for an authorization.
    pub(crate) parent_reference: String,
    /// What the customer pays with.
    pub(crate) token: String,
    /// Minor units.
    pub(crate) amount: i64,
    /// ISO 4217 code.
    pub(crate) currency: String,
    /// False when it was declined.
    pub(crate) approved: bool,
    /// Why it was declined; empty otherwise.
    pub(crate) decline_code: String,
}

/// Writes a charge. False when its key is known.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    charge: &Charge,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        "INSERT INTO sandbox_charges (idempotency_key, kind, reference, parent_reference, token, amount,
             currency, approved, decline_code, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT ON CONSTRAINT sandbox_charges_pkey DO NOTHING",
        charge.idempotency_key,
        charge.kind,
        charge.reference,
        charge.parent_reference,
        charge.token,
        charge.amount,
        charge.currency,
        charge.approved,
        charge.decline_code,
        now,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The charge with this key.
pub(crate) async fn find(
    conn: &mut PgConnection,
    idempotency_key: &str,
) -> Result<Option<Charge>, StoreError> {
    let charge = sqlx::query_as!(
        Charge,
        "SELECT idempotency_key, kind, reference, parent_reference, token, amount, currency, approved,
             decline_code
         FROM sandbox_charges WHERE idempotency_key = $1",
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
) -> Result<Option<Charge>, StoreError> {
    let charge = sqlx::query_as!(
        Charge,
        "SELECT idempotency_key, kind, reference, parent_reference, token, amount, currency, approved,
             decline_code
         FROM sandbox_charges WHERE reference = $1 FOR UPDATE",
        reference
    )
    .fetch_optional(conn)
    .await?;
    Ok(charge)
}

/// What was taken from a charge: approved captures and voids of an authorization, refunds of a capture.
pub(crate) async fn used(conn: &mut PgConnection, reference: &str) -> Result<i64, StoreError> {
    let used = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(amount), 0)::int8 AS "used!" FROM sandbox_charges
         WHERE parent_reference = $1 AND parent_reference <> '' AND approved"#,
        reference
    )
    .fetch_one(conn)
    .await?;
    Ok(used)
}
