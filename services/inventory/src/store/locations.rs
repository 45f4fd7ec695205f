//! Locations.

use oms_core::LocationId;
use oms_core::geo::Point;
use oms_postgres::Error;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::location::{Address, Location};

use super::read;

/// Creates or replaces a location and answers its new version.
pub(crate) async fn upsert(
    conn: &mut PgConnection,
    location: &Location,
    now: OffsetDateTime,
) -> Result<i64, Error> {
    let address = &location.address;
    let version = sqlx::query_scalar!(
        "INSERT INTO locations (location_id, name, recipient, address_lines, locality, administrative_area,
             postal_code, country_code, phone, email, latitude, longitude, active, version, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1, $14)
         ON CONFLICT (location_id) DO UPDATE
         SET name = EXCLUDED.name, recipient = EXCLUDED.recipient, address_lines = EXCLUDED.address_lines,
             locality = EXCLUDED.locality, administrative_area = EXCLUDED.administrative_area,
             postal_code = EXCLUDED.postal_code, country_code = EXCLUDED.country_code, phone = EXCLUDED.phone,
             email = EXCLUDED.email, latitude = EXCLUDED.latitude, longitude = EXCLUDED.longitude,
             active = EXCLUDED.active, version = locations.version + 1, updated_at = EXCLUDED.updated_at
         RETURNING version",
        location.id.as_str(),
        location.name,
        address.recipient,
        &address.lines,
        address.locality,
        address.administrative_area,
        address.postal_code,
        address.country_code,
        address.phone,
        address.email,
        location.point.lat,
        location.point.lon,
        location.active,
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok(version)
}

/// A location.
pub(crate) async fn get(
    conn: &mut PgConnection,
    id: &LocationId,
) -> Result<Option<Location>, Error> {
    let row = sqlx::query_as!(
        LocationRow,
        "SELECT location_id, name, recipient, address_lines, locality, administrative_area, postal_code,
                country_code, phone, email, latitude, longitude, active, version
         FROM locations WHERE location_id = $1",
        id.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(Location::try_from).transpose()
}

/// Up to `limit` locations by id, after this one.
pub(crate) async fn list(
    conn: &mut PgConnection,
    among: Option<&[String]>,
    after: &str,
    limit: i64,
) -> Result<Vec<Location>, Error> {
    let rows = sqlx::query_as!(
        LocationRow,
        "SELECT location_id, name, recipient, address_lines, locality, administrative_area, postal_code,
                country_code, phone, email, latitude, longitude, active, version
         FROM locations WHERE location_id > $1 AND ($3::text[] IS NULL OR location_id = ANY($3))
         ORDER BY location_id LIMIT $2",
        after,
        limit,
        among,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Location::try_from).collect()
}

/// Of these locations, those that exist.
pub(crate) async fn existing(
    conn: &mut PgConnection,
    ids: &[LocationId],
) -> Result<Vec<String>, Error> {
    let ids: Vec<&str> = ids.iter().map(LocationId::as_str).collect();
    let found = sqlx::query_scalar!(
        "SELECT location_id FROM locations WHERE location_id = ANY($1)",
        &ids as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(found)
}

struct LocationRow {
    location_id: String,
    name: String,
    recipient: String,
    address_lines: Vec<String>,
    locality: String,
    administrative_area: String,
    postal_code: String,
    country_code: String,
    phone: String,
    email: String,
    latitude: f64,
    longitude: f64,
    active: bool,
    version: i64,
}

impl TryFrom<LocationRow> for Location {
    type Error = Error;

    fn try_from(row: LocationRow) -> Result<Self, Error> {
        Ok(Self {
            id: read(
                &row.location_id,
                "locations",
                "location_id",
                &row.location_id,
            )?,
            name: row.name,
            address: Address {
                recipient: row.recipient,
                lines: row.address_lines,
                locality: row.locality,
                administrative_area: row.administrative_area,
                postal_code: row.postal_code,
                country_code: row.country_code,
                phone: row.phone,
                email: row.email,
            },
            point: Point {
                lat: row.latitude,
                lon: row.longitude,
            },
            active: row.active,
            version: row.version,
        })
    }
}
