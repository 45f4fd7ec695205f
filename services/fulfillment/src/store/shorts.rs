//! Units that pickers did not find.

use oms_core::{FulfillmentOrderId, LocationId, OrderId};
use oms_postgres::Error;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{named, typed};
use crate::domain::machine::Named as _;
use crate::domain::short::Short;

/// Inserts a short.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    short: &Short,
    reported_by: &str,
    now: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO shorts
            (short_id, fulfillment_order_id, fulfillment_order_line_id, order_id, sku, location_id,
             quantity, reason, state, reported_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        short.id,
        short.fulfillment_order_id.uuid(),
        short.fulfillment_order_line_id,
        short.order_id.uuid(),
        short.sku,
        short.location_id.as_str(),
        short.quantity,
        short.reason.name(),
        short.state.name(),
        reported_by,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One short.
pub(crate) async fn get(conn: &mut PgConnection, id: Uuid) -> Result<Option<Short>, Error> {
    let row = sqlx::query!(
        "SELECT fulfillment_order_id, fulfillment_order_line_id, order_id, sku, location_id, quantity,
             reason, state
         FROM shorts WHERE short_id = $1",
        id,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Short {
        id,
        fulfillment_order_id: FulfillmentOrderId::new(row.fulfillment_order_id),
        fulfillment_order_line_id: row.fulfillment_order_line_id,
        order_id: OrderId::new(row.order_id),
        sku: row.sku,
        location_id: typed("location_id", &row.location_id)?,
        quantity: row.quantity,
        reason: named("reason", &row.reason)?,
        state: named("state", &row.state)?,
    }))
}

/// Locations that were short of an item for an order, this one included.
pub(crate) async fn failed_locations(
    conn: &mut PgConnection,
    order: OrderId,
    sku: &str,
) -> Result<Vec<LocationId>, Error> {
    let ids = sqlx::query_scalar!(
        "SELECT DISTINCT location_id FROM shorts WHERE order_id = $1 AND sku = $2 ORDER BY 1",
        order.uuid(),
        sku,
    )
    .fetch_all(conn)
    .await?;
    ids.iter().map(|id| typed("location_id", id)).collect()
}

/// Writes what became of a short; `false` when that was written before.
pub(crate) async fn resolve(
    conn: &mut PgConnection,
    id: Uuid,
    resourced: i64,
    unfillable: i64,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "UPDATE shorts SET state = 'RESOLVED', resourced = $2, unfillable = $3, resolved_at = $4
         WHERE short_id = $1 AND state = 'PENDING'",
        id,
        resourced,
        unfillable,
        now,
    )
    .execute(conn)
    .await?
    .rows_affected();
    Ok(changed > 0)
}
