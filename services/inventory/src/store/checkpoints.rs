//! How far the books of each SKU agreed.

use std::collections::BTreeMap;

use oms_core::Sku;
use oms_postgres::Error;
use sqlx::PgConnection;

use crate::domain::books::Sums;
use crate::domain::level::LevelKey;

use super::{read, texts};

/// The ledger of a SKU up to an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Last entry that is in the sums; 0 for none.
    pub(crate) entry_id: i64,
    /// Sums per level; one that is missing has none.
    pub(crate) sums: BTreeMap<LevelKey, Sums>,
}

/// Checkpoints of these SKUs; those that have none begin before the first entry.
pub(crate) async fn of(
    conn: &mut PgConnection,
    skus: &[Sku],
) -> Result<BTreeMap<Sku, Checkpoint>, Error> {
    // One statement: a checkpoint and its sums are of one moment.
    let rows = sqlx::query!(
        r#"SELECT c.sku AS "sku!", c.entry_id AS "entry_id!", l.location_id AS "location_id?", l.lot AS "lot?", l.available AS "available?",
                  l.held AS "held?", l.allocated AS "allocated?", l.count_pending AS "count_pending?",
                  l.quarantine AS "quarantine?", l.qc AS "qc?", l.damaged AS "damaged?", l.refurb AS "refurb?"
           FROM ledger_checkpoint c LEFT JOIN ledger_checkpoint_level l USING (sku)
           WHERE c.sku = ANY($1)"#,
        &texts(skus) as &[&str],
    )
    .fetch_all(conn)
    .await?;
    let mut found: BTreeMap<Sku, Checkpoint> = BTreeMap::new();
    for row in rows {
        let sku: Sku = read(&row.sku, "ledger_checkpoint", "sku", &row.sku)?;
        let checkpoint = found.entry(sku.clone()).or_default();
        checkpoint.entry_id = row.entry_id;
        let (Some(location), Some(lot)) = (row.location_id, row.lot) else {
            continue;
        };
        let key = LevelKey {
            location: read(&location, "ledger_checkpoint_level", "location_id", &sku)?,
            sku,
            lot,
        };
        let sums = [
            row.available,
            row.held,
            row.allocated,
            row.count_pending,
            row.quarantine,
            row.qc,
            row.damaged,
            row.refurb,
        ];
        checkpoint
            .sums
            .insert(key, sums.map(Option::unwrap_or_default));
    }
    Ok(found)
}

/// Moves checkpoints forward, never back. `is_full` are sums of the whole ledger: they also replace what was
/// remembered up to the same entry.
pub(crate) async fn advance(
    conn: &mut PgConnection,
    checkpoints: &BTreeMap<Sku, Checkpoint>,
    is_full: bool,
) -> Result<(), Error> {
    let (skus, ids): (Vec<&str>, Vec<i64>) = checkpoints
        .iter()
        .map(|(sku, checkpoint)| (sku.as_str(), checkpoint.entry_id))
        .unzip();
    let moved = sqlx::query_scalar!(
        "INSERT INTO ledger_checkpoint AS c (sku, entry_id)
         SELECT n.sku, n.entry_id FROM unnest($1::text[], $2::bigint[]) AS n (sku, entry_id)
         WHERE n.entry_id > 0 ORDER BY n.sku
         ON CONFLICT (sku) DO UPDATE SET entry_id = EXCLUDED.entry_id
         WHERE c.entry_id < EXCLUDED.entry_id OR ($3 AND c.entry_id = EXCLUDED.entry_id)
         RETURNING sku",
        &skus as &[&str],
        &ids,
        is_full,
    )
    .fetch_all(&mut *conn)
    .await?;
    if moved.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "DELETE FROM ledger_checkpoint_level WHERE sku = ANY($1)",
        &moved
    )
    .execute(&mut *conn)
    .await?;
    let of_moved = checkpoints
        .iter()
        .filter(|(sku, _)| moved.iter().any(|moved| moved == sku.as_str()));
    let levels: Vec<(&LevelKey, &Sums)> = of_moved
        .flat_map(|(_, checkpoint)| &checkpoint.sums)
        .filter(|(_, sums)| **sums != Sums::default())
        .collect();
    insert_levels(conn, &levels).await
}

async fn insert_levels(
    conn: &mut PgConnection,
    levels: &[(&LevelKey, &Sums)],
) -> Result<(), Error> {
    let skus: Vec<&str> = levels.iter().map(|(key, _)| key.sku.as_str()).collect();
    let locations: Vec<&str> = levels
        .iter()
        .map(|(key, _)| key.location.as_str())
        .collect();
    let lots: Vec<&str> = levels.iter().map(|(key, _)| &*key.lot).collect();
    // Eight for each level, in the order of the buckets.
    let sums: Vec<i64> = levels.iter().flat_map(|(_, sums)| **sums).collect();
    sqlx::query!(
        "INSERT INTO ledger_checkpoint_level (sku, location_id, lot, available, held, allocated, count_pending,
                                              quarantine, qc, damaged, refurb)
         SELECT n.sku, n.location_id, n.lot, ($4::bigint[])[8 * n.place - 7], ($4::bigint[])[8 * n.place - 6],
                ($4::bigint[])[8 * n.place - 5], ($4::bigint[])[8 * n.place - 4], ($4::bigint[])[8 * n.place - 3],
                ($4::bigint[])[8 * n.place - 2], ($4::bigint[])[8 * n.place - 1], ($4::bigint[])[8 * n.place]
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS n (sku, location_id, lot, place)",
        &skus as &[&str],
        &locations as &[&str],
        &lots as &[&str],
        &sums,
    )
    .execute(conn)
    .await?;
    Ok(())
}
