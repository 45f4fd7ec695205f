//! The books of the built-in carrier.

use oms_core::PackageId;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;

/// A purchase in the carrier's books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Booking {
    /// The carrier's name for it.
    pub(crate) reference: String,
    /// Service that was bought.
    pub(crate) service: String,
    /// Number of each package.
    pub(crate) numbers: Vec<(PackageId, String)>,
    /// Price in US cents.
    pub(crate) price_cents: i64,
}

/// Books a purchase; the same key again books nothing.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    key: &str,
    booking: &Booking,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let (ids, numbers): (Vec<_>, Vec<_>) = booking
        .numbers
        .iter()
        .map(|(id, number)| (id.uuid(), number.as_str()))
        .unzip();
    sqlx::query!(
        "INSERT INTO table_rate_bookings (idempotency_key, reference, service, package_ids,
             tracking_numbers, price_cents, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT ON CONSTRAINT table_rate_bookings_pkey DO NOTHING",
        key,
        booking.reference,
        booking.service,
        &ids,
        &numbers as &[&str],
        booking.price_cents,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Finds a purchase by its key.
pub(crate) async fn find(
    conn: &mut PgConnection,
    key: &str,
) -> Result<Option<Booking>, StoreError> {
    let row = sqlx::query!(
        "SELECT reference, service, package_ids, tracking_numbers, price_cents
         FROM table_rate_bookings WHERE idempotency_key = $1",
        key
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Booking {
        reference: row.reference,
        service: row.service,
        numbers: row
            .package_ids
            .into_iter()
            .map(PackageId::new)
            .zip(row.tracking_numbers)
            .collect(),
        price_cents: row.price_cents,
    }))
}

/// Voids a purchase; the same key again voids nothing. `false` when there is no such purchase, or
/// another key voided it.
pub(crate) async fn void(
    conn: &mut PgConnection,
    key: &str,
    reference: &str,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let voided = sqlx::query!(
        "UPDATE table_rate_bookings SET void_key = $2, voided_at = coalesce(voided_at, $3)
         WHERE reference = $1 AND coalesce(void_key, $2) = $2",
        reference,
        key,
        now,
    )
    .execute(conn)
    .await?;
    Ok(voided.rows_affected() == 1)
}

/// Whether a void with this key was done.
pub(crate) async fn is_voided(conn: &mut PgConnection, key: &str) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM table_rate_bookings WHERE void_key = $1) AS "found!""#,
        key
    )
    .fetch_one(conn)
    .await?;
    Ok(found)
}
