//! What is handed to fulfillment: batches of allocated units.
//!
//! A batch is PLANNED while its units may still be canceled, SENT once its call may have been made (its
//! lines do not change, so a repeat of the call says the same), RELEASED when fulfillment has answered with
//! its fulfillment orders; then it loses only units that are called back because their stock is not there.

use std::collections::HashMap;

use oms_core::{OrderId, OrderLineId, ReservationId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::release::{Release, ReleaseLine, ReleaseState};

use super::StoreError;

/// Plans a batch; nothing happens when it exists. The caller holds the lock of the order.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    order_id: OrderId,
    release: &Release,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        "INSERT INTO releases (order_id, batch, state, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT ON CONSTRAINT releases_pkey DO NOTHING",
        order_id.uuid(),
        release.batch,
        release.state.as_str(),
        now
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if inserted == 0 {
        return Ok(false);
    }
    insert_lines(conn, order_id, release).await?;
    Ok(true)
}

/// Writes the lines of a batch that is not on its way anew, such as after a cancellation took some of its units.
pub(crate) async fn replace_lines(
    conn: &mut PgConnection,
    order_id: OrderId,
    release: &Release,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM release_lines WHERE order_id = $1 AND batch = $2",
        order_id.uuid(),
        release.batch
    )
    .execute(&mut *conn)
    .await?;
    insert_lines(conn, order_id, release).await
}

async fn insert_lines(
    conn: &mut PgConnection,
    order_id: OrderId,
    release: &Release,
) -> Result<(), StoreError> {
    let lines = &release.lines;
    let reservations: Vec<Uuid> = lines
        .iter()
        .map(|line| line.reservation_id.uuid())
        .collect();
    let order_lines: Vec<Uuid> = lines.iter().map(|line| line.order_line_id.uuid()).collect();
    let locations: Vec<String> = lines.iter().map(|line| line.location_id.clone()).collect();
    let lots: Vec<String> = lines.iter().map(|line| line.lot.clone()).collect();
    let quantities: Vec<i64> = lines.iter().map(|line| line.quantity).collect();
    sqlx::query!(
        "INSERT INTO release_lines (order_id, batch, reservation_id, order_line_id, location_id, lot,
             quantity)
         SELECT $1, $2, * FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::int8[])",
        order_id.uuid(),
        release.batch,
        &reservations,
        &order_lines,
        &locations,
        &lots,
        &quantities
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves a batch on.
pub(crate) async fn set_state(
    conn: &mut PgConnection,
    order_id: OrderId,
    batch: &str,
    state: ReleaseState,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE releases SET state = $3 WHERE order_id = $1 AND batch = $2",
        order_id.uuid(),
        batch,
        state.as_str()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The batches of an order, oldest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<Vec<Release>, StoreError> {
    let rows = sqlx::query!(
        "SELECT batch, state FROM releases WHERE order_id = $1 ORDER BY created_at, batch",
        order_id.uuid()
    )
    .fetch_all(&mut *conn)
    .await?;
    let lines = sqlx::query!(
        "SELECT batch, reservation_id, order_line_id, location_id, lot, quantity
         FROM release_lines WHERE order_id = $1
         ORDER BY batch, order_line_id, location_id, lot, reservation_id",
        order_id.uuid()
    )
    .fetch_all(conn)
    .await?;
    let mut by_batch: HashMap<String, Vec<ReleaseLine>> = HashMap::new();
    for row in lines {
        by_batch.entry(row.batch).or_default().push(ReleaseLine {
            reservation_id: ReservationId::new(row.reservation_id),
            order_line_id: OrderLineId::new(row.order_line_id),
            location_id: row.location_id,
            lot: row.lot,
            quantity: row.quantity,
        });
    }
    rows.into_iter()
        .map(|row| {
            let unknown = || StoreError::inconsistent("releases", "state", order_id);
            Ok(Release {
                lines: by_batch.remove(&row.batch).unwrap_or_default(),
                batch: row.batch,
                state: ReleaseState::parse(&row.state).ok_or_else(unknown)?,
            })
        })
        .collect()
}
