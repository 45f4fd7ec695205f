//! Label attempts and the numbers they gave to packages.

use oms_core::{PackageId, ShipmentId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::shipment::{Label, Package};

use super::StoreError;

/// Writes a new attempt.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    shipment_id: ShipmentId,
    label: &Label,
    actor: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO labels (label_id, shipment_id, attempt, state, carrier_id, carrier_service, cost,
             currency, expected_delivery_at, actor, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
        label.id,
        shipment_id.uuid(),
        label.attempt,
        label.state.as_str(),
        label.carrier_id,
        label.carrier_service,
        label.cost.minor,
        label.cost.currency.code(),
        label.expected_delivery_at,
        actor,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what may change of an attempt.
pub(crate) async fn save(
    conn: &mut PgConnection,
    label: &Label,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE labels SET state = $2, carrier_reference = $3, failure = $4, updated_at = $5
         WHERE label_id = $1",
        label.id,
        label.state.as_str(),
        label.carrier_reference,
        label.failure,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes the numbers that the carrier gave.
pub(crate) async fn insert_numbers(
    conn: &mut PgConnection,
    label: &Label,
    packages: &[Package],
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO label_packages (label_id, package_id, carrier_id, tracking_number)
         SELECT $1, package_id, $2, tracking_number
         FROM unnest($3::uuid[], $4::text[]) AS p (package_id, tracking_number)",
        label.id,
        label.carrier_id,
        &packages.iter().map(|p| p.id.uuid()).collect::<Vec<_>>(),
        &packages
            .iter()
            .map(|p| p.tracking_number.as_str())
            .collect::<Vec<_>>() as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a tracking number belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbered {
    /// Shipment.
    pub(crate) shipment_id: ShipmentId,
    /// Package.
    pub(crate) package_id: PackageId,
    /// Label that gave the number; it may have been voided since.
    pub(crate) label_id: Uuid,
}

/// Finds what a carrier's number belongs to.
pub(crate) async fn find_by_number(
    conn: &mut PgConnection,
    carrier_id: &str,
    tracking_number: &str,
) -> Result<Option<Numbered>, StoreError> {
    let found = sqlx::query!(
        "SELECT l.shipment_id, n.package_id, n.label_id
         FROM label_packages n JOIN labels l USING (label_id)
         WHERE n.carrier_id = $1 AND n.tracking_number = $2",
        carrier_id,
        tracking_number
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|row| Numbered {
        shipment_id: ShipmentId::new(row.shipment_id),
        package_id: PackageId::new(row.package_id),
        label_id: row.label_id,
    }))
}
