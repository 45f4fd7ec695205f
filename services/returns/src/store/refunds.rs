//! Refunds that the order service paid.

use oms_core::ReturnId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// Writes a refund; false when it is there already.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    refund_id: Uuid,
    return_id: ReturnId,
    amount: i64,
    recorded_at: OffsetDateTime,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        "INSERT INTO return_refunds (refund_id, return_id, amount, recorded_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT ON CONSTRAINT return_refunds_pkey DO NOTHING",
        refund_id,
        return_id.uuid(),
        amount,
        recorded_at,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() > 0)
}
