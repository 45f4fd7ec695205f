//! How far the events of peers' aggregates have counted here.

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;

use super::StoreError;

/// The last versions that counted of these aggregates of a source; those that never did are left out.
pub(crate) async fn of(
    conn: &mut PgConnection,
    source: &str,
    aggregate_ids: BTreeSet<&str>,
) -> Result<HashMap<String, i64>, oms_postgres::Error> {
    let ids: Vec<&str> = aggregate_ids.into_iter().collect();
    let rows = sqlx::query!(
        "SELECT aggregate_id, version FROM peer_versions WHERE source = $1 AND aggregate_id = ANY($2)",
        source,
        &ids as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.aggregate_id, row.version))
        .collect())
}

/// Writes how far aggregates of a source have counted. The caller holds the locks of the orders that they are about.
pub(crate) async fn advance(
    conn: &mut PgConnection,
    source: &str,
    versions: &HashMap<String, i64>,
) -> Result<(), StoreError> {
    if versions.is_empty() {
        return Ok(());
    }
    let (ids, versions): (Vec<&str>, Vec<i64>) = versions
        .iter()
        .map(|(id, version)| (id.as_str(), *version))
        .unzip();
    sqlx::query!(
        "INSERT INTO peer_versions (source, aggregate_id, version)
         SELECT $1, * FROM unnest($2::text[], $3::int8[])
         ON CONFLICT ON CONSTRAINT peer_versions_pkey DO UPDATE SET version = excluded.version
             WHERE peer_versions.version < excluded.version",
        source,
        &ids as &[&str],
        &versions,
    )
    .execute(conn)
    .await?;
    Ok(())
}
