//! What carriers are to collect at the door.

use oms_core::{OrderId, PaymentId, ShipmentId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::collection::{Collection, CollectionState};

use super::StoreError;

/// Writes what is to be collected with a shipment, once per shipment.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    collection: &Collection,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO collections (order_id, shipment_id, authorization_id, cause, amount, state, recorded_by,
             created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        collection.order_id.uuid(),
        collection.shipment_id.uuid(),
        collection.authorization.uuid(),
        collection.cause,
        collection.amount,
        collection.state.as_str(),
        collection.recorded_by,
        collection.created_at,
        collection.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The collections of an order, oldest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<Vec<Collection>, StoreError> {
    let rows = sqlx::query_as!(
        CollectionRow,
        "SELECT order_id, shipment_id, authorization_id, cause, amount, state, recorded_by, created_at,
             updated_at
         FROM collections WHERE order_id = $1 ORDER BY created_at, shipment_id",
        order_id.uuid()
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Collection::try_from).collect()
}

/// Writes what became of one. The caller holds the lock of the order.
pub(crate) async fn set_state(
    conn: &mut PgConnection,
    collection: &Collection,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE collections SET state = $3, recorded_by = $4, updated_at = $5
         WHERE order_id = $1 AND shipment_id = $2",
        collection.order_id.uuid(),
        collection.shipment_id.uuid(),
        collection.state.as_str(),
        collection.recorded_by,
        collection.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

struct CollectionRow {
    order_id: Uuid,
    shipment_id: Uuid,
    authorization_id: Uuid,
    cause: String,
    amount: i64,
    state: String,
    recorded_by: String,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<CollectionRow> for Collection {
    type Error = StoreError;

    fn try_from(row: CollectionRow) -> Result<Self, StoreError> {
        let unknown = || StoreError::inconsistent("collections", "state", row.shipment_id);
        Ok(Self {
            order_id: OrderId::new(row.order_id),
            shipment_id: ShipmentId::new(row.shipment_id),
            authorization: PaymentId::new(row.authorization_id),
            state: CollectionState::parse(&row.state).ok_or_else(unknown)?,
            cause: row.cause,
            amount: row.amount,
            recorded_by: row.recorded_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
