//! Cancellations of units, kept so that a repeated call answers the units that it canceled.

use oms_core::FulfillmentOrderId;
use oms_postgres::Error;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::fulfillment_order::LineUnits;

/// A cancellation.
#[derive(Debug)]
pub(crate) struct Cancellation {
    /// Id.
    pub(crate) id: Uuid,
    /// Fulfillment order.
    pub(crate) fulfillment_order_id: FulfillmentOrderId,
    /// Why.
    pub(crate) reason: String,
    /// Who canceled.
    pub(crate) canceled_by: String,
    /// When.
    pub(crate) created_at: OffsetDateTime,
    /// What.
    pub(crate) lines: Vec<LineUnits>,
}

/// Inserts a cancellation.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    cancellation: &Cancellation,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO cancellations (cancellation_id, fulfillment_order_id, reason, canceled_by, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        cancellation.id,
        cancellation.fulfillment_order_id.uuid(),
        cancellation.reason,
        cancellation.canceled_by,
        cancellation.created_at,
    )
    .execute(&mut *conn)
    .await?;
    let ids: Vec<Uuid> = cancellation.lines.iter().map(|line| line.line_id).collect();
    let quantities: Vec<i64> = cancellation
        .lines
        .iter()
        .map(|line| line.quantity)
        .collect();
    sqlx::query!(
        "INSERT INTO cancellation_lines (cancellation_id, fulfillment_order_line_id, quantity)
         SELECT $1, n.id, n.quantity FROM unnest($2::uuid[], $3::bigint[]) AS n (id, quantity)",
        cancellation.id,
        &ids,
        &quantities,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The fulfillment order of a cancellation, and what it canceled.
pub(crate) async fn get(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<(FulfillmentOrderId, Vec<LineUnits>)>, Error> {
    let order = sqlx::query_scalar!(
        "SELECT fulfillment_order_id FROM cancellations WHERE cancellation_id = $1",
        id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(order) = order else { return Ok(None) };
    let lines = sqlx::query_as!(
        LineUnits,
        "SELECT fulfillment_order_line_id AS line_id, quantity
         FROM cancellation_lines WHERE cancellation_id = $1 ORDER BY fulfillment_order_line_id",
        id,
    )
    .fetch_all(conn)
    .await?;
    Ok(Some((FulfillmentOrderId::new(order), lines)))
}
