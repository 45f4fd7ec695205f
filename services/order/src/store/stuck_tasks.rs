//! Tasks that wait for a person.

use oms_core::OrderId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// What can be done about a stuck task, in the words of the contract.
pub(crate) const TASK_ACTIONS: [&str; 2] = ["retry", "skip"];

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
            payload: row.payload,
            attempt: row.attempt,
            last_error: row.last_error.unwrap_or_default(),
            stuck_at: row.stuck_at,
        }
    }
}
