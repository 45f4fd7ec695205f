//! Stock policies. Written under the lock of the SKU's lane.

use std::collections::BTreeMap;

use oms_core::{ChannelId, LocationId, Sku};
use oms_postgres::Error;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::policy::{ChannelRule, LocationRule, Policy, StockPolicy};

use super::{inconsistent, read, texts};

const TABLE: &str = "stock_policy";

/// Rows of a policy: one for the SKU (`whole`), one for each location and each channel with a rule.
pub(super) struct RuleRow {
    pub(super) kind: String,
    pub(super) sku: String,
    /// Location or channel; empty for the whole.
    pub(super) of: String,
    /// Safety stock and threshold, or buffer and share.
    pub(super) first: i64,
    pub(super) second: i64,
}

/// The rules of these SKUs; those without a policy are missing. In the lanes it is asked only for SKUs that have one.
pub(crate) async fn of(
    conn: &mut PgConnection,
    skus: &[Sku],
) -> Result<BTreeMap<Sku, Policy>, Error> {
    let mut policies = BTreeMap::new();
    for (sku, stored) in stored(conn, skus).await? {
        policies.insert(sku, stored.policy);
    }
    Ok(policies)
}

/// The policies of these SKUs as they are stored; those that have none are missing.
pub(crate) async fn stored(
    conn: &mut PgConnection,
    skus: &[Sku],
) -> Result<BTreeMap<Sku, StockPolicy>, Error> {
    if skus.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query_as!(
        PolicyRow,
        r#"SELECT 'whole' AS "kind!", sku AS "sku!", '' AS "of!", safety_stock AS "first!",
                  low_stock_threshold AS "second!", version, updated_at
           FROM stock_policy WHERE sku = ANY($1)
           UNION ALL
           SELECT 'location', sku, location_id, safety_stock, low_stock_threshold, NULL, NULL
           FROM stock_policy_location WHERE sku = ANY($1)
           UNION ALL
           SELECT 'channel', sku, channel_id, buffer, share_percent, NULL, NULL
           FROM stock_policy_channel WHERE sku = ANY($1)"#,
        &texts(skus) as &[&str],
    )
    .fetch_all(conn)
    .await?;
    gather(rows)
}

/// Up to `limit` policies of SKUs after this one.
pub(crate) async fn list(
    conn: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<StockPolicy>, Error> {
    let rows = sqlx::query_as!(
        PolicyRow,
        r#"WITH page AS MATERIALIZED (
               SELECT * FROM stock_policy WHERE sku > $1 ORDER BY sku LIMIT $2
           )
           SELECT 'whole' AS "kind!", sku AS "sku!", '' AS "of!", safety_stock AS "first!",
                  low_stock_threshold AS "second!", version, updated_at
           FROM page
           UNION ALL
           SELECT 'location', r.sku, r.location_id, r.safety_stock, r.low_stock_threshold, NULL, NULL
           FROM page JOIN stock_policy_location r USING (sku)
           UNION ALL
           SELECT 'channel', r.sku, r.channel_id, r.buffer, r.share_percent, NULL, NULL
           FROM page JOIN stock_policy_channel r USING (sku)"#,
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(gather(rows)?.into_values().collect())
}

/// Writes policies over what was there.
pub(crate) async fn write(conn: &mut PgConnection, policies: &[StockPolicy]) -> Result<(), Error> {
    let skus: Vec<Sku> = policies.iter().map(|one| one.sku.clone()).collect();
    drop_rules(conn, &skus).await?;
    let column =
        |number: fn(&StockPolicy) -> i64| policies.iter().map(number).collect::<Vec<i64>>();
    let times: Vec<OffsetDateTime> = policies.iter().map(|one| one.updated_at).collect();
    sqlx::query!(
        "INSERT INTO stock_policy (sku, safety_stock, low_stock_threshold, version, updated_at)
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[])
         ON CONFLICT (sku) DO UPDATE
         SET safety_stock = EXCLUDED.safety_stock, low_stock_threshold = EXCLUDED.low_stock_threshold,
             version = EXCLUDED.version, updated_at = EXCLUDED.updated_at",
        &texts(&skus) as &[&str],
        &column(|one| one.policy.safety_stock),
        &column(|one| one.policy.low_stock_threshold),
        &column(|one| one.version),
        &times,
    )
    .execute(&mut *conn)
    .await?;
    write_locations(conn, policies).await?;
    write_channels(conn, policies).await
}

async fn drop_rules(conn: &mut PgConnection, skus: &[Sku]) -> Result<(), Error> {
    let skus = texts(skus);
    sqlx::query!(
        "DELETE FROM stock_policy_location WHERE sku = ANY($1)",
        &skus as &[&str],
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM stock_policy_channel WHERE sku = ANY($1)",
        &skus as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn write_locations(conn: &mut PgConnection, policies: &[StockPolicy]) -> Result<(), Error> {
    let rules = || {
        let of = |one: &'_ StockPolicy| one.policy.locations.len();
        let skus = policies
            .iter()
            .flat_map(move |one| std::iter::repeat_n(one.sku.as_str(), of(one)));
        skus.zip(policies.iter().flat_map(|one| &one.policy.locations))
    };
    let skus: Vec<&str> = rules().map(|(sku, _)| sku).collect();
    if skus.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = rules().map(|(_, (id, _))| id.as_str()).collect();
    let safety: Vec<i64> = rules().map(|(_, (_, rule))| rule.safety_stock).collect();
    let thresholds: Vec<i64> = rules()
        .map(|(_, (_, rule))| rule.low_stock_threshold)
        .collect();
    sqlx::query!(
        "INSERT INTO stock_policy_location (sku, location_id, safety_stock, low_stock_threshold)
         SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])",
        &skus as &[&str],
        &ids as &[&str],
        &safety,
        &thresholds,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn write_channels(conn: &mut PgConnection, policies: &[StockPolicy]) -> Result<(), Error> {
    let rules = || {
        let of = |one: &'_ StockPolicy| one.policy.channels.len();
        let skus = policies
            .iter()
            .flat_map(move |one| std::iter::repeat_n(one.sku.as_str(), of(one)));
        skus.zip(policies.iter().flat_map(|one| &one.policy.channels))
    };
    let skus: Vec<&str> = rules().map(|(sku, _)| sku).collect();
    if skus.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = rules().map(|(_, (id, _))| id.as_str()).collect();
    let buffers: Vec<i64> = rules().map(|(_, (_, rule))| rule.buffer).collect();
    let shares: Vec<i64> = rules().map(|(_, (_, rule))| rule.share_percent).collect();
    sqlx::query!(
        "INSERT INTO stock_policy_channel (sku, channel_id, buffer, share_percent)
         SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])",
        &skus as &[&str],
        &ids as &[&str],
        &buffers,
        &shares,
    )
    .execute(conn)
    .await?;
    Ok(())
}

struct PolicyRow {
    kind: String,
    sku: String,
    of: String,
    first: i64,
    second: i64,
    version: Option<i64>,
    updated_at: Option<OffsetDateTime>,
}

fn gather(rows: Vec<PolicyRow>) -> Result<BTreeMap<Sku, StockPolicy>, Error> {
    let mut versions = BTreeMap::new();
    let mut rules = Vec::with_capacity(rows.len());
    for row in rows {
        if let (Some(version), Some(updated_at)) = (row.version, row.updated_at) {
            versions.insert(row.sku.clone(), (version, updated_at));
        }
        rules.push(RuleRow {
            kind: row.kind,
            sku: row.sku,
            of: row.of,
            first: row.first,
            second: row.second,
        });
    }
    let mut policies = fold(rules)?;
    let mut stored = BTreeMap::new();
    for (sku, (version, updated_at)) in versions {
        let sku: Sku = read(&sku, TABLE, "sku", &sku)?;
        let policy = policies.remove(&sku).unwrap_or_default();
        let one = StockPolicy {
            sku: sku.clone(),
            policy,
            version,
            updated_at,
        };
        stored.insert(sku, one);
    }
    Ok(stored)
}

/// Gathers the rows of each SKU, in whatever order they come.
pub(super) fn fold(rows: Vec<RuleRow>) -> Result<BTreeMap<Sku, Policy>, Error> {
    let mut policies: BTreeMap<Sku, Policy> = BTreeMap::new();
    for row in rows {
        let id = format!("{}/{}", row.sku, row.of);
        let policy = policies
            .entry(read(&row.sku, TABLE, "sku", &id)?)
            .or_default();
        match &*row.kind {
            "whole" => {
                policy.safety_stock = row.first;
                policy.low_stock_threshold = row.second;
            }
            "location" => {
                let location: LocationId =
                    read(&row.of, "stock_policy_location", "location_id", &id)?;
                let rule = LocationRule {
                    safety_stock: row.first,
                    low_stock_threshold: row.second,
                };
                policy.locations.insert(location, rule);
            }
            "channel" => {
                let channel: ChannelId = read(&row.of, "stock_policy_channel", "channel_id", &id)?;
                let rule = ChannelRule {
                    buffer: row.first,
                    share_percent: row.second,
                };
                policy.channels.insert(channel, rule);
            }
            _ => return Err(inconsistent(TABLE, "kind", id)),
        }
    }
    Ok(policies)
}
