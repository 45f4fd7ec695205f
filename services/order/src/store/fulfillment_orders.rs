//! Which fulfillment orders work on an order, as far as this service has to know.

use oms_core::{FulfillmentOrderId, OrderId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::release::FulfillmentOrder;

use super::StoreError;

/// Writes fulfillment orders down, or their state.
pub(crate) async fn upsert(
    conn: &mut PgConnection,
    order_id: OrderId,
    rows: &[FulfillmentOrder],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = rows
        .iter()
        .map(|row| row.fulfillment_order_id.uuid())
        .collect();
    let locations: Vec<String> = rows.iter().map(|row| row.location_id.clone()).collect();
    let states: Vec<String> = rows.iter().map(|row| row.state.clone()).collect();
    sqlx::query!(
        "INSERT INTO fulfillment_orders (order_id, fulfillment_order_id, location_id, state)
         SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[])
         ON CONFLICT ON CONSTRAINT fulfillment_orders_pkey DO UPDATE SET state = excluded.state",
        order_id.uuid(),
        &ids,
        &locations,
        &states
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The fulfillment orders of an order.
pub(crate) async fn list(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<Vec<FulfillmentOrder>, StoreError> {
    let rows = sqlx::query!(
        "SELECT fulfillment_order_id, location_id, state FROM fulfillment_orders
         WHERE order_id = $1 ORDER BY fulfillment_order_id",
        order_id.uuid()
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| FulfillmentOrder {
            fulfillment_order_id: FulfillmentOrderId::new(row.fulfillment_order_id),
            location_id: row.location_id,
            state: row.state,
        })
        .collect())
}

/// Writes the state of a fulfillment order that is known.
pub(crate) async fn set_state(
    conn: &mut PgConnection,
    fulfillment_order_id: FulfillmentOrderId,
    state: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE fulfillment_orders SET state = $2 WHERE fulfillment_order_id = $1",
        fulfillment_order_id.uuid(),
        state
    )
    .execute(conn)
    .await?;
    Ok(())
}
