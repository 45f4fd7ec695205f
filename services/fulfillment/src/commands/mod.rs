//! One file per use case. A command opens one named transaction: request id, load, `domain`
//! decides, rows, events and tasks, commit.

use oms_postgres::idempotency;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ctx::Call;
use crate::error::Error;

pub(crate) mod abandon_pack_session;
pub(crate) mod assign_pick_list;
pub(crate) mod cancel_fulfillment_order;
pub(crate) mod close_pack_session;
pub(crate) mod count_shipment;
pub(crate) mod create_fulfillment_orders;
pub(crate) mod create_wave;
pub(crate) mod hold_fulfillment_order;
pub(crate) mod measure_package;
pub(crate) mod open_pack_session;
pub(crate) mod propose_sourcing;
pub(crate) mod release_fulfillment_order_hold;
pub(crate) mod report_short_pick;
pub(crate) mod scan_pack;
pub(crate) mod scan_pick;

/// The resource of an earlier call with the same request id, which is answered again.
async fn replayed(conn: &mut PgConnection, call: &Call) -> Result<Option<Uuid>, Error> {
    let resource = idempotency::check(conn, &call.key).await?;
    Ok(resource.map(|text| text.parse().unwrap_or_default()))
}

/// [`replayed`] for a call whose resource is known before anything is done: it is recorded here that it succeeds with
/// this transaction.
async fn begun(
    conn: &mut PgConnection,
    call: &Call,
    resource: Uuid,
) -> Result<Option<Uuid>, Error> {
    let resource = idempotency::begin(conn, &call.key, &resource.to_string()).await?;
    Ok(resource.map(|text| text.parse().unwrap_or_default()))
}

/// Records that the call succeeds with this transaction.
async fn record(conn: &mut PgConnection, call: &Call, resource: Uuid) -> Result<(), Error> {
    Ok(idempotency::record(conn, &call.key, &resource.to_string()).await?)
}
