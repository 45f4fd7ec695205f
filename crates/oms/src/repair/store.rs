//! What the order database remembers of reservations.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

/// A reservation as the order service remembers it.
#[derive(Debug, Clone, Default)]
pub(super) struct Copy {
    pub(super) order_id: Uuid,
    pub(super) channel_id: String,
    pub(super) priority: i16,
    pub(super) lines: Vec<CopyLine>,
}

/// One of its lines.
#[derive(Debug, Clone)]
pub(super) struct CopyLine {
    pub(super) order_line_id: Uuid,
    pub(super) sku: String,
    pub(super) location_id: String,
    pub(super) quantity: i64,
    pub(super) state: String,
}

/// Reservations that hold something, as the order service remembers them.
pub(super) async fn live_copies(conn: &mut PgConnection) -> anyhow::Result<BTreeMap<Uuid, Copy>> {
    type Row = (Uuid, Uuid, String, i16, Uuid, String, String, i64, String);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT r.reservation_id, r.order_id, o.channel_id, o.priority, l.order_line_id, ol.sku, l.location_id, l.quantity,
                l.state
         FROM reservations r JOIN orders o USING (order_id) JOIN reservation_lines l USING (reservation_id)
         JOIN order_lines ol USING (order_line_id)
         WHERE r.state IN ('HELD', 'ALLOCATED', 'BACKORDERED') AND l.state IN ('HELD', 'ALLOCATED', 'BACKORDERED')
         ORDER BY r.reservation_id, l.order_line_id, l.location_id",
    )
    .fetch_all(conn)
    .await?;
    let mut copies: BTreeMap<Uuid, Copy> = BTreeMap::new();
    for (id, order_id, channel_id, priority, order_line_id, sku, location_id, quantity, state) in
        rows
    {
        let copy = copies.entry(id).or_default();
        (copy.order_id, copy.channel_id, copy.priority) = (order_id, channel_id, priority);
        copy.lines.push(CopyLine {
            order_line_id,
            sku,
            location_id,
            quantity,
            state,
        });
    }
    Ok(copies)
}
