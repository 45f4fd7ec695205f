//! Where things are.

use oms_core::{FulfillmentOrderId, LocationId, PackSessionId, PickListId, WaveId};
use oms_postgres::Error;
use sqlx::PgConnection;

use super::typed;

/// Location of a fulfillment order.
pub(crate) async fn of_order(
    conn: &mut PgConnection,
    id: FulfillmentOrderId,
) -> Result<Option<LocationId>, Error> {
    let found = sqlx::query_scalar!(
        "SELECT location_id FROM fulfillment_orders WHERE fulfillment_order_id = $1",
        id.uuid()
    );
    read(found.fetch_optional(conn).await?)
}

/// Location of a pick list.
pub(crate) async fn of_pick_list(
    conn: &mut PgConnection,
    id: PickListId,
) -> Result<Option<LocationId>, Error> {
    let found = sqlx::query_scalar!(
        "SELECT location_id FROM pick_lists WHERE pick_list_id = $1",
        id.uuid()
    );
    read(found.fetch_optional(conn).await?)
}

/// Location of a wave.
pub(crate) async fn of_wave(
    conn: &mut PgConnection,
    id: WaveId,
) -> Result<Option<LocationId>, Error> {
    let found = sqlx::query_scalar!(
        "SELECT location_id FROM waves WHERE wave_id = $1",
        id.uuid()
    );
    read(found.fetch_optional(conn).await?)
}

/// Location of a pack session: that of its fulfillment order.
pub(crate) async fn of_pack_session(
    conn: &mut PgConnection,
    id: PackSessionId,
) -> Result<Option<LocationId>, Error> {
    let found = sqlx::query_scalar!(
        "SELECT o.location_id
         FROM pack_sessions AS s JOIN fulfillment_orders AS o USING (fulfillment_order_id)
         WHERE s.pack_session_id = $1",
        id.uuid()
    );
    read(found.fetch_optional(conn).await?)
}

fn read(found: Option<String>) -> Result<Option<LocationId>, Error> {
    found.map(|id| typed("location_id", &id)).transpose()
}
