//! Shipments with their packages and last label.

use oms_core::{
    AddressId, Currency, FulfillmentOrderId, Money, OrderId, PackSessionId, ReturnId, ShipmentId,
};
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::label::LabelState;
use crate::domain::rates::ServiceLevel;
use crate::domain::shipment::{Destination, Direction, Label, Package, Shipment};
use crate::domain::state::ShipmentState;

use super::StoreError;
use super::packages::{self, PackageRow};

/// Constraint that one live shipment per pack session violates.
pub(crate) const LIVE_PACK_SESSION_KEY: &str = "shipments_live_pack_session_key";
/// Constraint that a taken id violates.
pub(crate) const PKEY: &str = "shipments_pkey";

/// Writes a new shipment with its packages.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    shipment: &Shipment,
    actor: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO shipments (shipment_id, order_id, order_number, direction, fulfillment_order_id,
             pack_session_id, return_id, state, location_id, address_id, country_code, postal_code,
             service_level, channel_id, version, created_by, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17)",
        shipment.id.uuid(),
        shipment.order_id.uuid(),
        shipment.order_number,
        shipment.direction.as_str(),
        shipment.fulfillment_order_id.map(Uuid::from),
        shipment.pack_session_id.map(Uuid::from),
        shipment.return_id.map(Uuid::from),
        shipment.state.as_str(),
        shipment.location_id.as_str(),
        shipment.destination.address_id.map(Uuid::from),
        shipment.destination.country_code,
        shipment.destination.postal_code,
        shipment.service_level.as_str(),
        shipment.channel_id,
        shipment.version,
        actor,
        shipment.created_at,
    )
    .execute(&mut *conn)
    .await?;
    packages::insert(conn, shipment).await
}

/// Writes what may change of a shipment itself.
pub(crate) async fn save(
    conn: &mut PgConnection,
    shipment: &Shipment,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE shipments SET state = $2, version = $3, shipped_at = $4, ship_confirmed = $5,
             label_attempt = $6, updated_at = $7
         WHERE shipment_id = $1",
        shipment.id.uuid(),
        shipment.state.as_str(),
        shipment.version,
        shipment.shipped_at,
        shipment.ship_confirmed,
        shipment.label.as_ref().map_or(0, |label| label.attempt),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks a shipment against every other writer and reads it.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    shipment_id: ShipmentId,
) -> Result<Option<Shipment>, StoreError> {
    let locked = sqlx::query_scalar!(
        "SELECT shipment_id FROM shipments WHERE shipment_id = $1 FOR NO KEY UPDATE",
        shipment_id.uuid()
    )
    .fetch_optional(&mut *conn)
    .await?;
    match locked {
        // A second statement reads what the former holder of the lock committed.
        Some(_) => load(conn, shipment_id).await,
        None => Ok(None),
    }
}

/// Reads a shipment.
pub(crate) async fn load(
    conn: &mut PgConnection,
    shipment_id: ShipmentId,
) -> Result<Option<Shipment>, StoreError> {
    Ok(load_many(conn, &[shipment_id.uuid()]).await?.pop())
}

/// Reads shipments with everything that belongs to them, of one moment, in the order of the ids.
pub(crate) async fn load_many(
    conn: &mut PgConnection,
    shipment_ids: &[Uuid],
) -> Result<Vec<Shipment>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT s.shipment_id, s.order_id, order_number, direction, fulfillment_order_id,
             pack_session_id, return_id, s.state, location_id, address_id, country_code,
             postal_code, service_level, channel_id, version, s.created_at, shipped_at,
             ship_confirmed,
             l.label_id AS "label_id?", l.attempt AS "attempt?", l.state AS "label_state?",
             l.carrier_id AS "carrier_id?", l.carrier_service AS "carrier_service?",
             l.cost AS "cost?", l.currency AS "currency?",
             l.expected_delivery_at AS "expected_delivery_at?",
             l.carrier_reference AS "carrier_reference?", l.failure AS "failure?",
             (SELECT json_agg(package ORDER BY package.package_number) FROM (
                 SELECT package_id, package_number, mass_grams, length_mm, width_mm, height_mm,
                     tracking_number, tracking_status, tracked_at,
                     (SELECT json_agg(pl ORDER BY pl.line_number) FROM package_lines pl
                         WHERE pl.package_id = p.package_id) AS lines
                 FROM packages p WHERE p.shipment_id = s.shipment_id) package)
                 AS "packages: Json<Vec<PackageRow>>"
         FROM unnest($1::uuid[]) WITH ORDINALITY AS wanted (shipment_id, place)
         JOIN shipments s ON s.shipment_id = wanted.shipment_id
         LEFT JOIN labels l ON l.shipment_id = s.shipment_id AND l.attempt = s.label_attempt
         ORDER BY place"#,
        shipment_ids
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Shipment::try_from).collect()
}

/// Ids of shipments of a fulfillment order that were not handed over.
pub(crate) async fn open_of_fulfillment_order(
    conn: &mut PgConnection,
    fulfillment_order_id: FulfillmentOrderId,
) -> Result<Vec<ShipmentId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT shipment_id FROM shipments
         WHERE fulfillment_order_id = $1 AND state IN ('DRAFT', 'LABELED')
         ORDER BY created_at, shipment_id",
        fulfillment_order_id.uuid()
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(ShipmentId::new).collect())
}

struct Row {
    shipment_id: Uuid,
    order_id: Uuid,
    order_number: String,
    direction: String,
    fulfillment_order_id: Option<Uuid>,
    pack_session_id: Option<Uuid>,
    return_id: Option<Uuid>,
    state: String,
    location_id: String,
    address_id: Option<Uuid>,
    country_code: String,
    postal_code: String,
    service_level: String,
    channel_id: String,
    version: i64,
    created_at: OffsetDateTime,
    shipped_at: Option<OffsetDateTime>,
    ship_confirmed: bool,
    label_id: Option<Uuid>,
    attempt: Option<i32>,
    label_state: Option<String>,
    carrier_id: Option<String>,
    carrier_service: Option<String>,
    cost: Option<i64>,
    currency: Option<String>,
    expected_delivery_at: Option<OffsetDateTime>,
    carrier_reference: Option<String>,
    failure: Option<String>,
    packages: Option<Json<Vec<PackageRow>>>,
}

impl Row {
    /// The label of the outer join; its columns are there all or none.
    fn label(&mut self) -> Result<Option<Label>, StoreError> {
        let Some(id) = self.label_id else {
            return Ok(None);
        };
        let unknown = |column| StoreError::inconsistent("labels", column, id);
        let state = self.label_state.as_deref().and_then(LabelState::parse);
        let currency = self
            .currency
            .as_deref()
            .and_then(|code| code.parse::<Currency>().ok());
        let cost = Money::new(
            currency.ok_or_else(|| unknown("currency"))?,
            self.cost.ok_or_else(|| unknown("cost"))?,
        );
        Ok(Some(Label {
            id,
            attempt: self.attempt.ok_or_else(|| unknown("attempt"))?,
            state: state.ok_or_else(|| unknown("state"))?,
            carrier_id: self.carrier_id.take().unwrap_or_default(),
            carrier_service: self.carrier_service.take().unwrap_or_default(),
            cost,
            expected_delivery_at: self
                .expected_delivery_at
                .ok_or_else(|| unknown("expected_delivery_at"))?,
            carrier_reference: self.carrier_reference.take().unwrap_or_default(),
            failure: self.failure.take().unwrap_or_default(),
        }))
    }
}

impl TryFrom<Row> for Shipment {
    type Error = StoreError;

    fn try_from(mut row: Row) -> Result<Self, StoreError> {
        let label = row.label()?;
        // NULL when there are none.
        let packages = row.packages.map_or_else(Vec::new, |packages| packages.0);
        let packages = packages.into_iter().map(Package::try_from);
        let id = row.shipment_id;
        let unknown = |column| StoreError::inconsistent("shipments", column, id);
        Ok(Self {
            id: ShipmentId::new(id),
            order_id: OrderId::new(row.order_id),
            order_number: row.order_number,
            fulfillment_order_id: row.fulfillment_order_id.map(FulfillmentOrderId::new),
            pack_session_id: row.pack_session_id.map(PackSessionId::new),
            return_id: row.return_id.map(ReturnId::new),
            direction: Direction::parse(&row.direction).ok_or_else(|| unknown("direction"))?,
            state: ShipmentState::parse(&row.state).ok_or_else(|| unknown("state"))?,
            location_id: row
                .location_id
                .parse()
                .map_err(|_| unknown("location_id"))?,
            destination: Destination {
                address_id: row.address_id.map(AddressId::new),
                country_code: row.country_code,
                postal_code: row.postal_code,
            },
            service_level: ServiceLevel::parse(&row.service_level)
                .ok_or_else(|| unknown("service_level"))?,
            label,
            channel_id: row.channel_id,
            version: row.version,
            created_at: row.created_at,
            shipped_at: row.shipped_at,
            ship_confirmed: row.ship_confirmed,
            packages: packages.collect::<Result<_, _>>()?,
        })
    }
}
