//! The lanes: one row per SKU. Whoever holds its lock is the only writer of the SKU's stock and reservations.

use std::collections::BTreeMap;

use oms_core::Sku;
use oms_postgres::Error;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::lane::LaneState;

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
    /// Number of the SKU's last event.
    pub(crate) version: i64,
    /// Free units over all its levels.
    pub(crate) available: i64,
    /// Whether it has a stock policy.
    pub(crate) has_policy: bool,
    /// What else it knows.
    pub(crate) state: LaneState,
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
        "SELECT sku, fence, holder, version, available, has_policy, kit_version, backordered, backorder_max, available_from
         FROM sku_lane WHERE sku = ANY($1) ORDER BY sku FOR UPDATE",
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
            available: row.available,
            has_policy: row.has_policy,
            state: LaneState {
                kit_version: row.kit_version,
                backordered: row.backordered,
                backorder_max: row.backorder_max,
                available_from: row.available_from,
            },
        })
    });
    lanes.collect()
}

/// Raises the versions of lanes by as many events as were told of each, without a lease: for what is written under the
/// locks of lanes besides stock.
pub(crate) async fn advance(
    conn: &mut PgConnection,
    told: impl Iterator<Item = (&Sku, usize)>,
) -> Result<(), Error> {
    let told: Vec<(&str, i64)> = told
        .map(|(sku, events)| (sku.as_str(), i64::try_from(events).unwrap_or(i64::MAX)))
        .collect();
    let (skus, events): (Vec<&str>, Vec<i64>) = told.into_iter().unzip();
    sqlx::query!(
        "UPDATE sku_lane t SET version = t.version + n.events
         FROM unnest($1::text[], $2::bigint[]) AS n (sku, events) WHERE t.sku = n.sku",
        &skus as &[&str],
        &events,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Says which SKUs have a policy from now on.
pub(crate) async fn mark_policies(
    conn: &mut PgConnection,
    marks: impl Iterator<Item = (&Sku, bool)>,
) -> Result<(), Error> {
    let (skus, marks): (Vec<&str>, Vec<bool>) =
        marks.map(|(sku, mark)| (sku.as_str(), mark)).unzip();
    sqlx::query!(
        "UPDATE sku_lane t SET has_policy = n.has_policy
         FROM unnest($1::text[], $2::boolean[]) AS n (sku, has_policy)
         WHERE t.sku = n.sku AND t.has_policy <> n.has_policy",
        &skus as &[&str],
        &marks,
    )
    .execute(conn)
    .await?;
    Ok(())
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
