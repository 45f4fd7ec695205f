//! What happened to an order, for people.

use oms_core::OrderId;
use sqlx::PgConnection;

use crate::domain::timeline::TimelineRow;

use super::StoreError;

/// Appends a row. The caller holds the lock of the order and has counted its sequence up.
pub(crate) async fn append(
    conn: &mut PgConnection,
    order_id: OrderId,
    row: &TimelineRow,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO timeline (order_id, sequence, occurred_at, actor, action, from_state, to_state,
             detail, trace_id, linked_trace_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        order_id.uuid(),
        row.sequence,
        row.occurred_at,
        row.actor,
        row.action,
        row.from_state,
        row.to_state,
        row.detail,
        row.trace_id,
        row.linked_trace_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A page of the timeline, oldest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    order_id: OrderId,
    after: i64,
    limit: i64,
) -> Result<Vec<TimelineRow>, StoreError> {
    let rows = sqlx::query_as!(
        TimelineRow,
        "SELECT sequence, occurred_at, actor, action, from_state, to_state, detail, trace_id,
             linked_trace_id
         FROM timeline WHERE order_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
        order_id.uuid(),
        after,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
