//! The traces in which things happened to an order.

use oms_core::OrderId;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::timeline::OrderTrace;

use super::StoreError;

/// A page of an order's traces by when it was first touched in them, after a position.
pub(crate) async fn list(
    conn: &mut PgConnection,
    order_id: OrderId,
    after: Option<(OffsetDateTime, String)>,
    limit: i64,
) -> Result<Vec<OrderTrace>, StoreError> {
    let (after_time, after_id) = after.unzip();
    // What was done comes before the step that did it when both were written in one transaction.
    let traces = sqlx::query_as!(
        OrderTrace,
        r#"WITH told AS (
             SELECT trace_id, linked_trace_id, occurred_at AS at, 1 AS place, sequence AS number, action, actor,
                 false AS failed
             FROM timeline WHERE order_id = $1 AND trace_id <> ''
             UNION ALL
             SELECT trace_id, linked_trace_id, recorded_at, 2, entry,
                 CASE WHEN outcome LIKE 'UND%' THEN 'saga.undo_' ELSE 'saga.' END || step, 'service:order',
                 outcome IN ('FAILED', 'UNDO_FAILED')
             FROM saga_steps WHERE order_id = $1 AND trace_id <> '')
         SELECT trace_id AS "trace_id!", min(at) AS "first_at!", max(at) AS "last_at!",
             (array_agg(action ORDER BY at, place, number))[1] AS "started_by!",
             (array_agg(actor ORDER BY at, place, number))[1] AS "actor!",
             bool_or(failed) AS "failed!", max(linked_trace_id) AS "linked_trace_id!"
         FROM told GROUP BY trace_id
         HAVING $2::timestamptz IS NULL OR (min(at), trace_id) > ($2, $3)
         ORDER BY min(at), trace_id LIMIT $4"#,
        order_id.uuid(),
        after_time,
        after_id,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(traces)
}
