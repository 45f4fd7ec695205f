//! Waves.

use oms_core::{FulfillmentOrderId, PickListId, WaveId};
use oms_postgres::Error;
use sqlx::PgConnection;

use super::{named, typed};
use crate::domain::machine::Named as _;
use crate::domain::picking::Wave;

/// Inserts a wave; its pick lists are inserted on their own.
pub(crate) async fn insert(conn: &mut PgConnection, wave: &Wave) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO waves (wave_id, location_id, method, released_by, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        wave.id.uuid(),
        wave.location_id.as_str(),
        wave.method.name(),
        wave.released_by,
        wave.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One wave with the ids of its pick lists and fulfillment orders.
pub(crate) async fn get(conn: &mut PgConnection, id: WaveId) -> Result<Option<Wave>, Error> {
    let row = sqlx::query!(
        "SELECT location_id, method, released_by, created_at FROM waves WHERE wave_id = $1",
        id.uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let lists = sqlx::query_scalar!(
        "SELECT pick_list_id FROM pick_lists WHERE wave_id = $1 ORDER BY created_at, pick_list_id",
        id.uuid(),
    )
    .fetch_all(&mut *conn)
    .await?;
    let orders = sqlx::query_scalar!(
        "SELECT DISTINCT fulfillment_order_id FROM pick_lines WHERE pick_list_id = ANY($1) ORDER BY 1",
        &lists,
    )
    .fetch_all(conn)
    .await?;
    Ok(Some(Wave {
        id,
        location_id: typed("location_id", &row.location_id)?,
        method: named("method", &row.method)?,
        released_by: row.released_by,
        created_at: row.created_at,
        pick_list_ids: lists.into_iter().map(PickListId::new).collect(),
        fulfillment_order_ids: orders.into_iter().map(FulfillmentOrderId::new).collect(),
    }))
}
