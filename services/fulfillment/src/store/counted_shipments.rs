//! Shipments whose units were counted as shipped.

use oms_core::{FulfillmentOrderId, PackSessionId, ShipmentId};
use oms_postgres::Error;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A shipment that left with the packages of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CountedShipment {
    /// Shipment.
    pub(crate) shipment_id: ShipmentId,
    /// Fulfillment order.
    pub(crate) fulfillment_order_id: FulfillmentOrderId,
    /// Session that it was made of.
    pub(crate) pack_session_id: PackSessionId,
    /// Event that said so.
    pub(crate) event_id: Uuid,
    /// When it was counted.
    pub(crate) counted_at: OffsetDateTime,
}

/// Notes a shipment; `false` when it was counted before.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    shipment: CountedShipment,
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "INSERT INTO counted_shipments (shipment_id, fulfillment_order_id, pack_session_id, event_id, counted_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (shipment_id) DO NOTHING",
        shipment.shipment_id.uuid(),
        shipment.fulfillment_order_id.uuid(),
        shipment.pack_session_id.uuid(),
        shipment.event_id,
        shipment.counted_at,
    )
    .execute(conn)
    .await?
    .rows_affected();
    Ok(inserted > 0)
}
