//! How far the ledger of each SKU was summed up, and how far the books agreed.

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
    /// Last entry at which all books agreed; 0 for none.
    pub(crate) agreed_entry_id: i64,
    /// Sums per level; one that is missing has none.
    pub(crate) sums: BTreeMap<LevelKey, Sums>,
}

impl Checkpoint {
    /// The last entry, and the sums of a level up to it.
    pub(crate) fn at(&self, key: &LevelKey) -> (i64, Sums) {
        let sums = self.sums.get(key).copied().unwrap_or_default();
        (self.entry_id, sums)
    }

    /// Whether it was summed up further than the books were seen to agree.
    pub(crate) fn is_behind(&self) -> bool {
        self.agreed_entry_id < self.entry_id
    }
}

/// A checkpoint to write.
#[derive(Debug, Clone)]
pub(crate) struct Moved {
    /// The ledger as it was read.
    pub(crate) checkpoint: Checkpoint,
    /// Whether the books agree at its end.
    pub(crate) agrees: bool,
}

/// Checkpoints of these SKUs; those that have none begin before the first entry.
pub(crate) async fn of(
    conn: &mut PgConnection,
    skus: &[Sku],
) -> Result<BTreeMap<Sku, Checkpoint>, Error> {
    // One statement: a checkpoint and its sums are of one moment.
    let rows = sqlx::query!(
        r#"SELECT c.sku AS "sku!", c.entry_id AS "entry_id!", c.agreed_entry_id AS "agreed_entry_id!", l.location_id AS "location_id?", l.lot AS "lot?", l.available AS "available?",
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
        checkpoint.agreed_entry_id = row.agreed_entry_id;
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

/// Moves checkpoints forward, never back. `is_whole` are sums of the whole ledger: they also replace what was remembered
/// up to the same entry.
pub(crate) async fn advance(
    conn: &mut PgConnection,
    checkpoints: &BTreeMap<Sku, Moved>,
    is_whole: bool,
) -> Result<(), Error> {
    let skus: Vec<&str> = checkpoints.keys().map(Sku::as_str).collect();
    let of = |one: &Moved| one.checkpoint.entry_id;
    let ids: Vec<i64> = checkpoints.values().map(of).collect();
    let agreed = |one: &Moved| if one.agrees { of(one) } else { 0 };
    let agreed: Vec<i64> = checkpoints.values().map(agreed).collect();
    let moved = sqlx::query_scalar!(
        "INSERT INTO ledger_checkpoint AS c (sku, entry_id, agreed_entry_id)
         SELECT n.sku, n.entry_id, n.agreed_entry_id
         FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS n (sku, entry_id, agreed_entry_id)
         WHERE n.entry_id > 0 ORDER BY n.sku
         ON CONFLICT (sku) DO UPDATE
         SET entry_id = EXCLUDED.entry_id, agreed_entry_id = greatest(c.agreed_entry_id, EXCLUDED.agreed_entry_id)
         WHERE c.entry_id < EXCLUDED.entry_id
            OR (c.entry_id = EXCLUDED.entry_id AND ($4 OR c.agreed_entry_id < EXCLUDED.agreed_entry_id))
         RETURNING sku",
        &skus as &[&str],
        &ids,
        &agreed,
        is_whole,
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
        .flat_map(|(_, moved)| &moved.checkpoint.sums)
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
