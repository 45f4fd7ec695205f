//! Cancellations with their lines and legs.

use std::collections::HashMap;

use oms_core::{CancellationId, OrderId, OrderLineId};
use sqlx::PgConnection;
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
