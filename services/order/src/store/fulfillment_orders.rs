//! Which fulfillment orders work on an order, as far as this service has to know.

use std::collections::HashMap;

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

/// Writes the states of fulfillment orders that are known.
pub(crate) async fn set_states(
    conn: &mut PgConnection,
    states: &HashMap<FulfillmentOrderId, String>,
) -> Result<(), StoreError> {
    if states.is_empty() {
        return Ok(());
    }
    let (ids, states): (Vec<Uuid>, Vec<&str>) = states
        .iter()
        .map(|(id, state)| (id.uuid(), state.as_str()))
        .unzip();
    sqlx::query!(
        "UPDATE fulfillment_orders f SET state = n.state
         FROM unnest($1::uuid[], $2::text[]) AS n (fulfillment_order_id, state)
         WHERE f.fulfillment_order_id = n.fulfillment_order_id",
        &ids,
        &states as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}
