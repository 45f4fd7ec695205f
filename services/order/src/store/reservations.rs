//! The order's copy of its reservations, by inventory's version.

use std::collections::HashMap;

use oms_core::{OrderId, OrderLineId, ReservationId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::reservation::{Reservation, ReservationLine, ReservationState};

use super::StoreError;

/// Writes what inventory says of a reservation. False, and nothing written, when a version at least as
/// new is there. The caller holds the lock of the order.
pub(crate) async fn upsert(
    conn: &mut PgConnection,
    reservation: &Reservation,
) -> Result<bool, StoreError> {
    let written = sqlx::query!(
        "INSERT INTO reservations (reservation_id, order_id, cause, state, version)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT ON CONSTRAINT reservations_pkey DO UPDATE SET state = $4, version = $5
             WHERE reservations.version < $5",
        reservation.reservation_id.uuid(),
        reservation.order_id.uuid(),
        reservation.cause,
        reservation.state.as_str(),
        reservation.version,
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if written == 0 {
        return Ok(false);
    }
    replace_lines(conn, reservation).await?;
    Ok(true)
}

async fn replace_lines(
    conn: &mut PgConnection,
    reservation: &Reservation,
) -> Result<(), StoreError> {
    let lines = &reservation.lines;
    if reservation.version > 1 {
        sqlx::query!(
            "DELETE FROM reservation_lines WHERE reservation_id = $1",
            reservation.reservation_id.uuid()
        )
        .execute(&mut *conn)
        .await?;
    }
    let order_lines: Vec<Uuid> = lines.iter().map(|line| line.order_line_id.uuid()).collect();
    let locations: Vec<String> = lines.iter().map(|line| line.location_id.clone()).collect();
    let lots: Vec<String> = lines.iter().map(|line| line.lot.clone()).collect();
    let states: Vec<String> = lines
        .iter()
        .map(|line| line.state.as_str().to_owned())
        .collect();
    let quantities: Vec<i64> = lines.iter().map(|line| line.quantity).collect();
    // Summed, as one grain may come as several rows.
    sqlx::query!(
        "INSERT INTO reservation_lines (reservation_id, order_line_id, location_id, lot, state, quantity)
         SELECT $1::uuid, l.order_line_id, l.location_id, l.lot, l.state, sum(l.quantity)::int8
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::int8[])
             AS l (order_line_id, location_id, lot, state, quantity)
         GROUP BY 1, 2, 3, 4, 5
         ON CONFLICT ON CONSTRAINT reservation_lines_pkey DO UPDATE SET quantity = excluded.quantity",
        reservation.reservation_id.uuid(),
        &order_lines,
        &locations,
        &lots,
        &states,
        &quantities
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Says that a reservation holds nothing any more, as inventory answered. Its version stays, so that the
/// feed may still tell what became of it.
pub(crate) async fn mark_lost(
    conn: &mut PgConnection,
    reservation_id: ReservationId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM reservation_lines
         WHERE reservation_id = $1 AND state IN ('HELD', 'ALLOCATED', 'BACKORDERED')",
        reservation_id.uuid()
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE reservations SET state = 'EXPIRED'
         WHERE reservation_id = $1 AND state IN ('HELD', 'ALLOCATED', 'BACKORDERED')",
        reservation_id.uuid()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Says that what is allocated at this version is in the first batch for fulfillment.
pub(crate) async fn set_batched(
    conn: &mut PgConnection,
    reservation_id: ReservationId,
    version: i64,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE reservations SET batched_version = $2 WHERE reservation_id = $1",
        reservation_id.uuid(),
        version
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The version whose allocated units are in the first batch for fulfillment; 0 when there is none.
pub(crate) async fn batched_version(
    conn: &mut PgConnection,
    reservation_id: ReservationId,
) -> Result<i64, StoreError> {
    let version = sqlx::query_scalar!(
        "SELECT batched_version FROM reservations WHERE reservation_id = $1",
        reservation_id.uuid()
    )
    .fetch_optional(conn)
    .await?;
    Ok(version.unwrap_or_default())
}

/// The reservations of an order.
pub(crate) async fn list(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<Vec<Reservation>, StoreError> {
    let rows = sqlx::query!(
        "SELECT reservation_id, cause, state, version FROM reservations
         WHERE order_id = $1 ORDER BY reservation_id",
        order_id.uuid()
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.reservation_id).collect();
    let mut lines = lines(conn, &ids).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Reservation {
                reservation_id: ReservationId::new(row.reservation_id),
                order_id,
                cause: row.cause,
                state: state(&row.state, row.reservation_id)?,
                version: row.version,
                lines: lines.remove(&row.reservation_id).unwrap_or_default(),
            })
        })
        .collect()
}

async fn lines(
    conn: &mut PgConnection,
    reservation_ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<ReservationLine>>, StoreError> {
    let rows = sqlx::query!(
        "SELECT reservation_id, order_line_id, location_id, lot, state, quantity
         FROM reservation_lines WHERE reservation_id = ANY($1)
         ORDER BY reservation_id, order_line_id, location_id, lot, state",
        reservation_ids
    )
    .fetch_all(conn)
    .await?;
    let mut lines: HashMap<Uuid, Vec<ReservationLine>> = HashMap::new();
    for row in rows {
        let line = ReservationLine {
            order_line_id: OrderLineId::new(row.order_line_id),
            location_id: row.location_id,
            lot: row.lot,
            state: state(&row.state, row.reservation_id)?,
            quantity: row.quantity,
        };
        lines.entry(row.reservation_id).or_default().push(line);
    }
    Ok(lines)
}

fn state(name: &str, reservation_id: Uuid) -> Result<ReservationState, StoreError> {
    ReservationState::parse(name)
        .ok_or_else(|| StoreError::inconsistent("reservations", "state", reservation_id))
}
