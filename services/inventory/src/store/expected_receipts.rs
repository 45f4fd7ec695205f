//! Expected receipts. Written under the lock of the SKU's lane.

use std::collections::BTreeSet;

use oms_core::Sku;
use oms_postgres::Error;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use time::OffsetDateTime;

use crate::domain::expected::{ExpectedKey, ExpectedReceipt};

use super::read;

const TABLE: &str = "expected_receipt";

/// Those of these receipts that exist.
pub(crate) async fn get(
    conn: &mut PgConnection,
    keys: &BTreeSet<ExpectedKey>,
) -> Result<Vec<ExpectedReceipt>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let [references, skus, locations] = columns(keys.iter());
    let rows = sqlx::query_as!(
        Row,
        "SELECT e.reference, e.sku, e.location_id, e.quantity, e.received, e.expected_at, e.canceled, e.version,
                e.updated_at
         FROM unnest($1::text[], $2::text[], $3::text[]) AS k (reference, sku, location_id)
         JOIN expected_receipt e USING (reference, sku, location_id)",
        &references as &[&str],
        &skus as &[&str],
        &locations as &[&str],
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(ExpectedReceipt::try_from).collect()
}

/// Writes receipts over what was there.
pub(crate) async fn write(
    conn: &mut PgConnection,
    receipts: &[&ExpectedReceipt],
) -> Result<(), Error> {
    if receipts.is_empty() {
        return Ok(());
    }
    let [references, skus, locations] = columns(receipts.iter().map(|one| &one.key));
    let column = |number: fn(&ExpectedReceipt) -> i64| {
        receipts.iter().map(|one| number(one)).collect::<Vec<i64>>()
    };
    let expected_at: Vec<OffsetDateTime> = receipts.iter().map(|one| one.expected_at).collect();
    let canceled: Vec<bool> = receipts.iter().map(|one| one.is_canceled).collect();
    let updated_at: Vec<OffsetDateTime> = receipts.iter().map(|one| one.updated_at).collect();
    sqlx::query!(
        "INSERT INTO expected_receipt (reference, sku, location_id, quantity, received, expected_at, canceled, version,
                                       updated_at)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::timestamptz[],
                              $7::boolean[], $8::bigint[], $9::timestamptz[])
         ON CONFLICT (reference, sku, location_id) DO UPDATE
         SET quantity = EXCLUDED.quantity, received = EXCLUDED.received, expected_at = EXCLUDED.expected_at,
             canceled = EXCLUDED.canceled, version = EXCLUDED.version, updated_at = EXCLUDED.updated_at",
        &references as &[&str],
        &skus as &[&str],
        &locations as &[&str],
        &column(|one| one.quantity),
        &column(|one| one.received),
        &expected_at,
        &canceled,
        &column(|one| one.version),
        &updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What to list; all of it when empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReceiptFilter {
    /// SKU.
    pub(crate) sku: Option<Sku>,
    /// Locations; `None` for all.
    pub(crate) locations: Option<Vec<String>>,
    /// Purchase order or transfer.
    pub(crate) reference: Option<String>,
    /// Also those of which nothing more comes.
    pub(crate) include_closed: bool,
}

/// Up to `limit` receipts after this one, by time, reference, SKU and location.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: &ReceiptFilter,
    after: Option<(OffsetDateTime, &ExpectedKey)>,
    limit: i64,
) -> Result<Vec<ExpectedReceipt>, Error> {
    // Only the conditions that there are, so that each kind of list has its index.
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(
        "SELECT reference, sku, location_id, quantity, received, expected_at, canceled, version, updated_at
         FROM expected_receipt WHERE true",
    );
    if let Some(sku) = &filter.sku {
        query.push(" AND sku = ").push_bind(sku.to_string());
    }
    match filter.locations.as_deref() {
        None => {}
        // By equality, so that the index by location gives the order too.
        Some([one]) => {
            query.push(" AND location_id = ").push_bind(one.clone());
        }
        Some(many) => {
            query
                .push(" AND location_id = ANY(")
                .push_bind(many.to_vec())
                .push(")");
        }
    }
    if let Some(reference) = &filter.reference {
        query.push(" AND reference = ").push_bind(reference.clone());
    }
    if !filter.include_closed {
        query.push(" AND NOT canceled AND received < quantity");
    }
    if let Some((expected_at, key)) = after {
        query.push(" AND (expected_at, reference, sku, location_id) > (");
        let mut position = query.separated(", ");
        position
            .push_bind(expected_at)
            .push_bind(key.reference.clone());
        position
            .push_bind(key.sku.to_string())
            .push_bind(key.location.to_string());
        query.push(")");
    }
    query.push(" ORDER BY expected_at, reference, sku, location_id LIMIT ");
    query.push_bind(limit);
    let rows: Vec<Row> = query.build_query_as().fetch_all(conn).await?;
    rows.into_iter().map(ExpectedReceipt::try_from).collect()
}

fn columns<'a>(keys: impl Iterator<Item = &'a ExpectedKey>) -> [Vec<&'a str>; 3] {
    let mut columns = [Vec::new(), Vec::new(), Vec::new()];
    for key in keys {
        columns[0].push(key.reference.as_str());
        columns[1].push(key.sku.as_str());
        columns[2].push(key.location.as_str());
    }
    columns
}

#[derive(sqlx::FromRow)]
struct Row {
    reference: String,
    sku: String,
    location_id: String,
    quantity: i64,
    received: i64,
    expected_at: OffsetDateTime,
    canceled: bool,
    version: i64,
    updated_at: OffsetDateTime,
}

impl TryFrom<Row> for ExpectedReceipt {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            key: ExpectedKey {
                sku: read(&row.sku, TABLE, "sku", &row.reference)?,
                location: read(&row.location_id, TABLE, "location_id", &row.reference)?,
                reference: row.reference,
            },
            quantity: row.quantity,
            received: row.received,
            expected_at: row.expected_at,
            is_canceled: row.canceled,
            version: row.version,
            updated_at: row.updated_at,
        })
    }
}
