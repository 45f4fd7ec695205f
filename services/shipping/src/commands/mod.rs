//! One file per use case, and what they share.

pub(crate) mod buy_label;
pub(crate) mod cancel_fulfillment_shipments;
pub(crate) mod cancel_shipment;
pub(crate) mod choose_service;
pub(crate) mod confirm_ship;
pub(crate) mod create_shipment;
pub(crate) mod create_shipment_for_pack;
mod error;
mod events;
pub(crate) mod get_label;
pub(crate) mod message;
pub(crate) mod quote_rates;
pub(crate) mod receive_carrier_webhook;
pub(crate) mod record_tracking_event;
pub(crate) mod settle_effect;
pub(crate) mod void_label;

use std::sync::Arc;

use oms_core::{Clock, IdSource, ShipmentId};
use oms_postgres::idempotency::{self, RequestKey};
use oms_postgres::{Db, Tx};
use sqlx::PgConnection;
use tracing::Span;

use crate::carriers::Carriers;
use crate::clients::{InventoryClient, OrderClient};
use crate::domain::shipment::Shipment;
use crate::store::shipments;

pub(crate) use error::Error;

/// What commands work with.
pub(crate) struct Context {
    /// The service's database.
    pub(crate) db: Db,
    /// Where the time comes from.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub(crate) ids: Arc<dyn IdSource>,
    /// Carriers.
    pub(crate) carriers: Carriers,
    /// The order service.
    pub(crate) orders: OrderClient,
    /// The inventory service.
    pub(crate) inventory: InventoryClient,
}

/// Who asks, and under which request id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Principal as text.
    pub(crate) actor: String,
    /// What makes a repeat the same call.
    pub(crate) key: RequestKey,
}

/// Notes on the span which order it is about.
fn on_span(shipment: &Shipment) {
    oms_telemetry::record_order_id(&Span::current(), shipment.order_id);
}

/// Reads a shipment that must be there.
async fn find(conn: &mut PgConnection, shipment_id: ShipmentId) -> Result<Shipment, Error> {
    let found = shipments::load(conn, shipment_id).await?;
    found.ok_or_else(|| Error::not_found("shipment", shipment_id))
}

/// Locks a shipment that must be there and have the version that the caller read.
async fn lock(
    tx: &mut Tx<'_>,
    shipment_id: ShipmentId,
    etag: Option<i64>,
) -> Result<Shipment, Error> {
    let found = shipments::lock(tx, shipment_id).await?;
    let shipment = found.ok_or_else(|| Error::not_found("shipment", shipment_id))?;
    match etag {
        Some(version) if version != shipment.version => Err(Error::EtagMismatch {
            present: shipment.version,
        }),
        _ => Ok(shipment),
    }
}

/// The shipment that a call named before, when this is its repeat.
async fn replayed(conn: &mut PgConnection, call: &Call) -> Result<Option<Shipment>, Error> {
    match idempotency::check(conn, &call.key).await? {
        Some(resource) => recorded(conn, &resource).await.map(Some),
        None => Ok(None),
    }
}

/// [`replayed`] for a call that goes on with a shipment which it names: it is recorded here that it succeeds with this
/// transaction.
async fn begun(
    conn: &mut PgConnection,
    call: &Call,
    shipment_id: ShipmentId,
) -> Result<Option<Shipment>, Error> {
    match idempotency::begin(conn, &call.key, &shipment_id.to_string()).await? {
        Some(resource) => recorded(conn, &resource).await.map(Some),
        None => Ok(None),
    }
}

/// [`replayed`] outside of a transaction: only reads, to spare a repeat the questions to peers.
async fn replayed_before(conn: &mut PgConnection, call: &Call) -> Result<Option<Shipment>, Error> {
    match idempotency::find(conn, &call.key).await? {
        Some(resource) => recorded(conn, &resource).await.map(Some),
        None => Ok(None),
    }
}

async fn recorded(conn: &mut PgConnection, resource: &str) -> Result<Shipment, Error> {
    let id = resource
        .parse()
        .map_err(|_| Error::defect("a recorded id is no shipment id"))?;
    find(conn, id).await
}
