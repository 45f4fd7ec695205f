//! Cancellations with their lines and legs.

use oms_core::{CancellationId, OrderId, OrderLineId};
use serde::Deserialize;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::cancellation::{Cancellation, CancellationLeg, CancellationLine};

use super::StoreError;

/// Writes a new cancellation with its lines and legs. The caller holds the lock of the order.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    order_id: OrderId,
    cancellation: &Cancellation,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO cancellations (cancellation_id, order_id, state, reason, note, actor, created_at,
             updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        cancellation.cancellation_id.uuid(),
        order_id.uuid(),
        cancellation.state,
        cancellation.reason,
        cancellation.note,
        cancellation.actor,
        cancellation.created_at,
    )
    .execute(&mut *conn)
    .await?;
    let lines = &cancellation.lines;
    let ids: Vec<Uuid> = lines.iter().map(|line| line.order_line_id.uuid()).collect();
    let quantities: Vec<i64> = lines.iter().map(|line| line.quantity).collect();
    let canceled: Vec<i64> = lines.iter().map(|line| line.canceled).collect();
    sqlx::query!(
        "INSERT INTO cancellation_lines (cancellation_id, order_line_id, quantity, canceled)
         SELECT $1, * FROM unnest($2::uuid[], $3::int8[], $4::int8[])",
        cancellation.cancellation_id.uuid(),
        &ids,
        &quantities,
        &canceled
    )
    .execute(&mut *conn)
    .await?;
    let legs = &cancellation.legs;
    let names: Vec<String> = legs.iter().map(|leg| leg.name.clone()).collect();
    let states: Vec<String> = legs.iter().map(|leg| leg.state.clone()).collect();
    let details: Vec<String> = legs.iter().map(|leg| leg.detail.clone()).collect();
    sqlx::query!(
        "INSERT INTO cancellation_legs (cancellation_id, name, state, detail)
         SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[])",
        cancellation.cancellation_id.uuid(),
        &names,
        &states,
        &details
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A cancellation as `json_build_object` gives it.
#[derive(Debug, Deserialize)]
pub(super) struct CancellationRow {
    cancellation_id: CancellationId,
    state: String,
    reason: String,
    note: String,
    actor: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// `None` for none.
    lines: Option<Vec<LineRow>>,
    legs: Option<Vec<LegRow>>,
}

#[derive(Debug, Deserialize)]
struct LineRow {
    order_line_id: OrderLineId,
    quantity: i64,
    canceled: i64,
}

#[derive(Debug, Deserialize)]
struct LegRow {
    name: String,
    state: String,
    detail: String,
}

impl From<CancellationRow> for Cancellation {
    fn from(row: CancellationRow) -> Self {
        let lines = row.lines.unwrap_or_default().into_iter();
        let legs = row.legs.unwrap_or_default().into_iter();
        Self {
            cancellation_id: row.cancellation_id,
            state: row.state,
            lines: lines
                .map(|line| CancellationLine {
                    order_line_id: line.order_line_id,
                    quantity: line.quantity,
                    canceled: line.canceled,
                })
                .collect(),
            reason: row.reason,
            note: row.note,
            actor: row.actor,
            legs: legs
                .map(|leg| CancellationLeg {
                    name: leg.name,
                    state: leg.state,
                    detail: leg.detail,
                })
                .collect(),
            created_at: row.created_at,
        }
    }
}
