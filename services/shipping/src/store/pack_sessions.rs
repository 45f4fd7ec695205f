//! Closed pack sessions: proof that goods were packed by scan.

use oms_core::{FulfillmentOrderId, OrderId, OrderLineId, PackSessionId, ReservationId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// A closed session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackSession {
    /// Id.
    pub(crate) id: PackSessionId,
    /// Fulfillment order that was packed.
    pub(crate) fulfillment_order_id: FulfillmentOrderId,
    /// Order.
    pub(crate) order_id: OrderId,
    /// What was packed.
    pub(crate) lines: Vec<PackedUnits>,
}

/// Packed units of one order line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackedUnits {
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// Reservation that holds the units.
    pub(crate) reservation_id: Option<ReservationId>,
    /// Lot; empty when none.
    pub(crate) lot: String,
    /// Units.
    pub(crate) quantity: i64,
}

/// Notes a session. `false` when it was noted before.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    session: &PackSession,
    event_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        "INSERT INTO pack_sessions (pack_session_id, fulfillment_order_id, order_id, event_id, created_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT ON CONSTRAINT pack_sessions_pkey DO NOTHING",
        session.id.uuid(),
        session.fulfillment_order_id.uuid(),
        session.order_id.uuid(),
        event_id,
        now,
    )
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    let lines = &session.lines;
    sqlx::query!(
        "INSERT INTO pack_session_lines (pack_session_id, line_number, order_line_id, reservation_id, lot,
             quantity)
         SELECT $1, line_number, order_line_id, reservation_id, lot, quantity
         FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[])
             WITH ORDINALITY AS l (order_line_id, reservation_id, lot, quantity, line_number)",
        session.id.uuid(),
        &lines.iter().map(|line| line.order_line_id.uuid()).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.reservation_id.map(Uuid::from)).collect::<Vec<_>>()
            as &[Option<Uuid>],
        &lines.iter().map(|line| line.lot.as_str()).collect::<Vec<_>>() as &[&str],
        &lines.iter().map(|line| line.quantity).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// Reads a session.
pub(crate) async fn load(
    conn: &mut PgConnection,
    id: PackSessionId,
) -> Result<Option<PackSession>, StoreError> {
    let row = sqlx::query!(
        "SELECT fulfillment_order_id, order_id FROM pack_sessions WHERE pack_session_id = $1",
        id.uuid()
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let lines = sqlx::query!(
        "SELECT order_line_id, reservation_id, lot, quantity FROM pack_session_lines
         WHERE pack_session_id = $1 ORDER BY line_number",
        id.uuid()
    )
    .fetch_all(conn)
    .await?;
    Ok(Some(PackSession {
        id,
        fulfillment_order_id: FulfillmentOrderId::new(row.fulfillment_order_id),
        order_id: OrderId::new(row.order_id),
        lines: lines
            .into_iter()
            .map(|line| PackedUnits {
                order_line_id: OrderLineId::new(line.order_line_id),
                reservation_id: line.reservation_id.map(ReservationId::new),
                lot: line.lot,
                quantity: line.quantity,
            })
            .collect(),
    }))
}
