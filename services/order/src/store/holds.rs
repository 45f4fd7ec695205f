//! Holds as rows.

use oms_core::{HoldId, OrderId, OrderLineId};
use serde::Deserialize;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::list::HoldFilter;
use crate::domain::order::{Hold, HoldBlock};

use super::StoreError;

/// Writes a new hold.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    order_id: OrderId,
    hold: &Hold,
) -> Result<(), StoreError> {
    let blocks: Vec<String> = hold
        .blocks
        .iter()
        .map(|block| block.as_str().to_owned())
        .collect();
    sqlx::query!(
        "INSERT INTO holds (hold_id, order_id, order_line_id, reason, blocks, state, note, placed_by,
             created_at, release_at)
         VALUES ($1, $2, $3, $4, $5, 'ACTIVE', $6, $7, $8, $9)
         ON CONFLICT ON CONSTRAINT holds_pkey DO NOTHING",
        hold.hold_id.uuid(),
        order_id.uuid(),
        hold.order_line_id.map(OrderLineId::uuid),
        hold.reason,
        &blocks,
        hold.note,
        hold.placed_by,
        hold.created_at,
        hold.release_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a hold; false when it had ended before.
pub(crate) async fn release(
    conn: &mut PgConnection,
    hold_id: HoldId,
    released_by: &str,
    released_at: OffsetDateTime,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE holds SET state = 'RELEASED', released_by = $2, released_at = $3
         WHERE hold_id = $1 AND state = 'ACTIVE'",
        hold_id.uuid(),
        released_by,
        released_at
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Reads a hold with its order.
pub(crate) async fn find(
    conn: &mut PgConnection,
    hold_id: HoldId,
) -> Result<Option<(OrderId, Hold)>, StoreError> {
    let row = sqlx::query_as!(
        HoldRow,
        "SELECT hold_id, order_id, order_line_id, reason, blocks, state, note, placed_by, created_at,
             release_at, released_by, released_at
         FROM holds WHERE hold_id = $1",
        hold_id.uuid()
    )
    .fetch_optional(conn)
    .await?;
    row.map(HoldRow::into_hold).transpose()
}

/// The order that a hold belongs to.
pub(crate) async fn order_of(
    conn: &mut PgConnection,
    hold_id: HoldId,
) -> Result<Option<OrderId>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT order_id FROM holds WHERE hold_id = $1",
        hold_id.uuid()
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(OrderId::new))
}

/// A page of holds, oldest first: of one order or all, active ones or all.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: &HoldFilter,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<(OrderId, Hold)>, StoreError> {
    let (after_time, after_id) = after.unzip();
    let rows = sqlx::query_as!(
        HoldRow,
        "SELECT hold_id, order_id, order_line_id, reason, blocks, state, note, placed_by, created_at,
             release_at, released_by, released_at
         FROM holds
         WHERE ($1::uuid IS NULL OR order_id = $1) AND (NOT $2 OR state = 'ACTIVE')
             AND ($3::timestamptz IS NULL OR (created_at, hold_id) > ($3, $4))
             AND ($6::text[] IS NULL OR EXISTS (
                 SELECT FROM orders AS o WHERE o.order_id = holds.order_id AND o.channel_id = ANY($6)))
         ORDER BY created_at, hold_id LIMIT $5",
        filter.order_id.map(OrderId::uuid),
        filter.active_only,
        after_time,
        after_id,
        limit,
        filter.channels.as_deref()
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(HoldRow::into_hold).collect()
}

/// A hold, also as `json_agg` gives it.
#[derive(Debug, Deserialize)]
pub(super) struct HoldRow {
    hold_id: Uuid,
    order_id: Uuid,
    order_line_id: Option<Uuid>,
    reason: String,
    blocks: Vec<String>,
    state: String,
    note: String,
    placed_by: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    release_at: Option<OffsetDateTime>,
    released_by: String,
    #[serde(with = "time::serde::rfc3339::option")]
    released_at: Option<OffsetDateTime>,
}

impl HoldRow {
    pub(super) fn into_hold(self) -> Result<(OrderId, Hold), StoreError> {
        let blocks = self.blocks.iter().map(|name| {
            HoldBlock::parse(name)
                .ok_or_else(|| StoreError::inconsistent("holds", "blocks", self.hold_id))
        });
        let hold = Hold {
            hold_id: HoldId::new(self.hold_id),
            order_line_id: self.order_line_id.map(OrderLineId::new),
            blocks: blocks.collect::<Result<_, _>>()?,
            reason: self.reason,
            active: self.state == "ACTIVE",
            note: self.note,
            placed_by: self.placed_by,
            created_at: self.created_at,
            release_at: self.release_at,
            released_by: self.released_by,
            released_at: self.released_at,
        };
        Ok((OrderId::new(self.order_id), hold))
    }
}
