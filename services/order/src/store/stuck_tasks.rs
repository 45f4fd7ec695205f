//! Tasks that wait for a person.

use oms_core::OrderId;
use serde::Deserialize;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// A task that cannot go on by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StuckTask {
    /// Id of the task.
    pub(crate) id: Uuid,
    /// Which handler could not finish it.
    pub(crate) kind: String,
    /// Order it is about; `None` when it is gone.
    pub(crate) order_id: Option<OrderId>,
    /// What was given at insertion.
    pub(crate) payload: Vec<u8>,
    /// Cause of the payments that it asks for, or the payment that it renews; any text of tasks that ask for none.
    pub(crate) cause: String,
    /// How often it was claimed.
    pub(crate) attempt: i32,
    /// Why the last attempt failed.
    pub(crate) last_error: String,
    /// Since when it is stuck.
    pub(crate) stuck_at: OffsetDateTime,
}

/// Stuck tasks, the longest stuck first, after a position.
pub(crate) async fn list(
    conn: &mut PgConnection,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<StuckTask>, StoreError> {
    let (after_time, after_id) = after.unzip();
    let rows = sqlx::query_as!(
        StuckTaskRow,
        r#"SELECT id, kind, key, payload, attempt, last_error, ended_at AS "stuck_at!",
             CASE WHEN kind = 'release_hold' THEN
                 (SELECT order_id FROM holds h WHERE h.hold_id = t.key::uuid) END AS hold_order_id
         FROM tasks t WHERE state = 'STUCK'
             AND ($1::timestamptz IS NULL OR (ended_at, id) > ($1, $2))
         ORDER BY ended_at, id LIMIT $3"#,
        after_time,
        after_id,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(StuckTask::from).collect())
}

/// A stuck task.
pub(crate) async fn find(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<StuckTask>, StoreError> {
    let row = sqlx::query_as!(
        StuckTaskRow,
        r#"SELECT id, kind, key, payload, attempt, last_error, ended_at AS "stuck_at!",
             CASE WHEN kind = 'release_hold' THEN
                 (SELECT order_id FROM holds h WHERE h.hold_id = t.key::uuid) END AS hold_order_id
         FROM tasks t WHERE state = 'STUCK' AND id = $1"#,
        id
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(StuckTask::from))
}

/// The stuck tasks of an order.
pub(crate) async fn of_order(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<Vec<StuckTask>, StoreError> {
    let rows = sqlx::query_as!(
        StuckTaskRow,
        r#"SELECT id, kind, key, payload, attempt, last_error, ended_at AS "stuck_at!",
             NULL::uuid AS hold_order_id
         FROM tasks WHERE state = 'STUCK' AND key = $1 ORDER BY id"#,
        order_id.to_string()
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(StuckTask::from).collect())
}

/// The cause that a payload names: as its whole text, or by what the refund is for.
fn cause(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload).into_owned();
    match serde_json::from_slice(payload) {
        Ok(RefundFor::Return { refund_id }) => format!("return/{refund_id}"),
        Ok(RefundFor::Cancellation { cancellation_id }) => {
            format!("cancellation/{cancellation_id}")
        }
        Err(_) => text,
    }
}

/// What is read of the payloads of tasks that pay back.
#[derive(Deserialize)]
#[serde(untagged)]
enum RefundFor {
    Return { refund_id: String },
    Cancellation { cancellation_id: String },
}

struct StuckTaskRow {
    id: Uuid,
    kind: String,
    key: String,
    payload: Vec<u8>,
    attempt: i32,
    last_error: Option<String>,
    stuck_at: OffsetDateTime,
    /// For tasks whose key is a hold.
    hold_order_id: Option<Uuid>,
}

impl From<StuckTaskRow> for StuckTask {
    fn from(row: StuckTaskRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            order_id: row
                .hold_order_id
                .map(OrderId::new)
                .or_else(|| row.key.parse().ok()),
            cause: cause(&row.payload),
            payload: row.payload,
            attempt: row.attempt,
            last_error: row.last_error.unwrap_or_default(),
            stuck_at: row.stuck_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_read_of_every_payload() {
        for (payload, expected) in [
            ("shipment/a", "shipment/a"),
            ("", ""),
            ("7", "7"),
            (r#"{"return_id": "r", "refund_id": "f"}"#, "return/f"),
            (r#"{"cancellation_id": "c", "amount": 5}"#, "cancellation/c"),
        ] {
            assert_eq!(cause(payload.as_bytes()), expected);
        }
    }
}
