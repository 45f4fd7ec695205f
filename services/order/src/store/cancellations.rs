//! Cancellations with their lines and legs.

use std::collections::HashMap;

use oms_core::{CancellationId, OrderId, OrderLineId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::cancellation::{Cancellation, CancellationLeg, CancellationLine};

use super::StoreError;

/// Reads the cancellations of orders, oldest first.
pub(super) async fn load(
    conn: &mut PgConnection,
    order_ids: &[Uuid],
) -> Result<HashMap<OrderId, Vec<Cancellation>>, StoreError> {
    let mut found: HashMap<OrderId, Vec<Cancellation>> = HashMap::new();
    if order_ids.is_empty() {
        return Ok(found);
    }
    let rows = sqlx::query!(
        "SELECT cancellation_id, order_id, state, reason, note, actor, created_at
         FROM cancellations WHERE order_id = ANY($1) ORDER BY created_at, cancellation_id",
        order_ids
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.cancellation_id).collect();
    let (mut lines, mut legs) = (lines(conn, &ids).await?, legs(conn, &ids).await?);
    for row in rows {
        let cancellation = Cancellation {
            cancellation_id: CancellationId::new(row.cancellation_id),
            state: row.state,
            lines: lines.remove(&row.cancellation_id).unwrap_or_default(),
            reason: row.reason,
            note: row.note,
            actor: row.actor,
            legs: legs.remove(&row.cancellation_id).unwrap_or_default(),
            created_at: row.created_at,
        };
        found
            .entry(OrderId::new(row.order_id))
            .or_default()
            .push(cancellation);
    }
    Ok(found)
}

async fn lines(
    conn: &mut PgConnection,
    cancellation_ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<CancellationLine>>, StoreError> {
    let rows = sqlx::query!(
        "SELECT cancellation_id, order_line_id, quantity, canceled
         FROM cancellation_lines WHERE cancellation_id = ANY($1) ORDER BY order_line_id",
        cancellation_ids
    )
    .fetch_all(conn)
    .await?;
    let mut lines: HashMap<Uuid, Vec<CancellationLine>> = HashMap::new();
    for row in rows {
        lines
            .entry(row.cancellation_id)
            .or_default()
            .push(CancellationLine {
                order_line_id: OrderLineId::new(row.order_line_id),
                quantity: row.quantity,
                canceled: row.canceled,
            });
    }
    Ok(lines)
}

async fn legs(
    conn: &mut PgConnection,
    cancellation_ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<CancellationLeg>>, StoreError> {
    let rows = sqlx::query!(
        "SELECT cancellation_id, name, state, detail
         FROM cancellation_legs WHERE cancellation_id = ANY($1) ORDER BY name",
        cancellation_ids
    )
    .fetch_all(conn)
    .await?;
    let mut legs: HashMap<Uuid, Vec<CancellationLeg>> = HashMap::new();
    for row in rows {
        legs.entry(row.cancellation_id)
            .or_default()
            .push(CancellationLeg {
                name: row.name,
                state: row.state,
                detail: row.detail,
            });
    }
    Ok(legs)
}
