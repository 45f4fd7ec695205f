//! Shipments that were handed over.

use oms_core::{OrderId, ShipmentId};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;

/// Writes a shipment down. False when it is known.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    order_id: OrderId,
    shipment_id: ShipmentId,
    shipped_at: OffsetDateTime,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        "INSERT INTO shipments (shipment_id, order_id, shipped_at) VALUES ($1, $2, $3)
         ON CONFLICT ON CONSTRAINT shipments_pkey DO NOTHING",
        shipment_id.uuid(),
        order_id.uuid(),
        shipped_at
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Says that a shipment was delivered. False when that is known, or the shipment is not.
pub(crate) async fn set_delivered(
    conn: &mut PgConnection,
    shipment_id: ShipmentId,
    delivered_at: OffsetDateTime,
) -> Result<bool, StoreError> {
    let moved = sqlx::query!(
        "UPDATE shipments SET delivered_at = $2 WHERE shipment_id = $1 AND delivered_at IS NULL",
        shipment_id.uuid(),
        delivered_at
    )
    .execute(conn)
    .await?;
    Ok(moved.rows_affected() == 1)
}
