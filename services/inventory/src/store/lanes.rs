//! The lanes: one row per SKU. Whoever holds its lock is the only writer of the SKU's stock and reservations.

use std::collections::BTreeMap;

use oms_core::Sku;
use oms_postgres::Error;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{read, texts};

/// A lane under its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lane {
    /// SKU.
    pub(crate) sku: Sku,
    /// Highest token of a lease that wrote here.
    pub(crate) fence: i64,
    /// Who held that lease.
    pub(crate) holder: Option<Uuid>,
    /// Number of the SKU's last StockChanged event.
    pub(crate) version: i64,
}

/// The lease under which lanes are written. SKUs without a token are written without one: the lock of the lane alone
/// keeps them right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fencing {
    /// Who holds the lease.
    pub(crate) holder: Uuid,
    /// Its tokens.
    pub(crate) tokens: BTreeMap<Sku, i64>,
}

impl Fencing {
    /// Whether the lane has seen a later lease than this one.
    pub(crate) fn is_stale_for(&self, lane: &Lane) -> bool {
        self.tokens.get(&lane.sku).is_some_and(|token| {
            lane.fence > *token || (lane.fence == *token && lane.holder != Some(self.holder))
        })
    }
}

/// Opens lanes for new SKUs; those that are open stay as they are.
pub(crate) async fn open(conn: &mut PgConnection, skus: &[Sku]) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO sku_lane (sku) SELECT s FROM unnest($1::text[]) AS s ON CONFLICT (sku) DO NOTHING",
        &texts(skus) as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks the lanes of these SKUs in their order; those that do not exist are missing. The next statement sees what the
/// holders before have committed.
pub(crate) async fn lock(conn: &mut PgConnection, skus: &[Sku]) -> Result<Vec<Lane>, Error> {
    let rows = sqlx::query!(
        "SELECT sku, fence, holder, version FROM sku_lane WHERE sku = ANY($1) ORDER BY sku FOR UPDATE",
        &texts(skus) as &[&str],
    )
    .fetch_all(conn)
    .await?;
    let lanes = rows.into_iter().map(|row| {
        Ok(Lane {
            sku: read(&row.sku, "sku_lane", "sku", &row.sku)?,
            fence: row.fence,
            holder: row.holder,
            version: row.version,
        })
    });
    lanes.collect()
}

/// Of these SKUs, those that exist.
pub(crate) async fn existing(conn: &mut PgConnection, skus: &[Sku]) -> Result<Vec<String>, Error> {
    let found = sqlx::query_scalar!(
        "SELECT sku FROM sku_lane WHERE sku = ANY($1)",
        &texts(skus) as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(found)
}

/// The next generation of the reservation lease, larger than every one before.
pub(crate) async fn next_generation(conn: &mut PgConnection) -> Result<i64, Error> {
    let next = sqlx::query_scalar!(r#"SELECT nextval('lock_generation') AS "next!""#)
        .fetch_one(conn)
        .await?;
    Ok(next)
}
