//! What carriers reported.

use oms_core::{PackageId, ShipmentId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::tracking::TrackingStatus;

use super::StoreError;

/// A report as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrackingEvent {
    /// Carrier.
    pub(crate) carrier_id: String,
    /// Tracking number.
    pub(crate) tracking_number: String,
    /// The carrier's id of it.
    pub(crate) carrier_event_id: String,
    /// Shipment.
    pub(crate) shipment_id: ShipmentId,
    /// Package.
    pub(crate) package_id: PackageId,
    /// Status it reports.
    pub(crate) status: TrackingStatus,
    /// What the carrier wrote.
    pub(crate) description: String,
    /// By the carrier's clock.
    pub(crate) occurred_at: OffsetDateTime,
    /// By ours.
    pub(crate) recorded_at: OffsetDateTime,
    /// It moved the package.
    pub(crate) applied: bool,
}

/// Appends a report.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    event: &TrackingEvent,
    actor: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO tracking_events (carrier_id, tracking_number, carrier_event_id, shipment_id,
             package_id, status, description, occurred_at, recorded_at, applied, actor)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        event.carrier_id,
        event.tracking_number,
        event.carrier_event_id,
        event.shipment_id.uuid(),
        event.package_id.uuid(),
        event.status.as_str(),
        event.description,
        event.occurred_at,
        event.recorded_at,
        event.applied,
        actor,
    )
    .execute(conn)
    .await?;
    Ok(())
}

struct Row {
    carrier_id: String,
    tracking_number: String,
    carrier_event_id: String,
    shipment_id: Uuid,
    package_id: Uuid,
    status: String,
    description: String,
    occurred_at: OffsetDateTime,
    recorded_at: OffsetDateTime,
    applied: bool,
}

impl TryFrom<Row> for TrackingEvent {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let status = TrackingStatus::parse(&row.status).ok_or_else(|| {
            StoreError::inconsistent("tracking_events", "status", &row.carrier_event_id)
        })?;
        Ok(Self {
            carrier_id: row.carrier_id,
            tracking_number: row.tracking_number,
            carrier_event_id: row.carrier_event_id,
            shipment_id: ShipmentId::new(row.shipment_id),
            package_id: PackageId::new(row.package_id),
            status,
            description: row.description,
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
            applied: row.applied,
        })
    }
}

/// Finds a report that was recorded before.
pub(crate) async fn find(
    conn: &mut PgConnection,
    carrier_id: &str,
    tracking_number: &str,
    carrier_event_id: &str,
) -> Result<Option<TrackingEvent>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT carrier_id, tracking_number, carrier_event_id, shipment_id, package_id, status, description,
             occurred_at, recorded_at, applied
         FROM tracking_events
         WHERE carrier_id = $1 AND tracking_number = $2 AND carrier_event_id = $3",
        carrier_id,
        tracking_number,
        carrier_event_id
    )
    .fetch_optional(conn)
    .await?;
    row.map(TrackingEvent::try_from).transpose()
}

/// Reads the reports about a shipment by the time they happened.
pub(crate) async fn of_shipment(
    conn: &mut PgConnection,
    shipment_id: ShipmentId,
) -> Result<Vec<TrackingEvent>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT carrier_id, tracking_number, carrier_event_id, shipment_id, package_id, status, description,
             occurred_at, recorded_at, applied
         FROM tracking_events WHERE shipment_id = $1
         ORDER BY occurred_at, recorded_at, carrier_event_id",
        shipment_id.uuid()
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(TrackingEvent::try_from).collect()
}
