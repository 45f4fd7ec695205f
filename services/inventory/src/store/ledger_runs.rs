//! Verifications of the ledger.

use oms_core::Sku;
use oms_postgres::Error;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::verification::{Run, Seen};

use super::read;

struct RunRow {
    run_id: Uuid,
    requested_by: String,
    is_full: bool,
    is_partial: bool,
    after_sku: String,
    skus_checked: i64,
    entries_read: i64,
    levels_drifted: i64,
    last_entry_id: i64,
    corrections: Vec<Uuid>,
    started_at: OffsetDateTime,
    finished_at: Option<OffsetDateTime>,
}

impl From<RunRow> for Run {
    fn from(row: RunRow) -> Self {
        Self {
            id: row.run_id,
            requested_by: row.requested_by,
            is_full: row.is_full,
            is_partial: row.is_partial,
            after_sku: row.after_sku,
            seen: Seen {
                skus: row.skus_checked,
                entries: row.entries_read,
                levels_drifted: row.levels_drifted,
                last_entry_id: row.last_entry_id,
            },
            corrections: row.corrections,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

/// Begins a run.
pub(crate) async fn insert(conn: &mut PgConnection, run: &Run) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO ledger_run (run_id, requested_by, is_full, is_partial, started_at) VALUES ($1, $2, $3, $4, $5)",
        run.id,
        run.requested_by,
        run.is_full,
        run.is_partial,
        run.started_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A run; `None` when there is none.
pub(crate) async fn get(conn: &mut PgConnection, id: Uuid) -> Result<Option<Run>, Error> {
    let row = sqlx::query_as!(
        RunRow,
        "SELECT run_id, requested_by, is_full, is_partial, after_sku, skus_checked, entries_read, levels_drifted,
                last_entry_id, corrections, started_at, finished_at
         FROM ledger_run WHERE run_id = $1",
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Run::from))
}

/// Takes a step of a run from where it was read. False when somebody else has taken it meanwhile.
pub(crate) async fn step(
    conn: &mut PgConnection,
    run: &Run,
    through: &str,
    more: Seen,
    finished_at: Option<OffsetDateTime>,
) -> Result<bool, Error> {
    let taken = sqlx::query!(
        "UPDATE ledger_run
         SET after_sku = $3, skus_checked = skus_checked + $4, entries_read = entries_read + $5,
             levels_drifted = levels_drifted + $6, last_entry_id = greatest(last_entry_id, $7), finished_at = $8
         WHERE run_id = $1 AND after_sku = $2 AND finished_at IS NULL",
        run.id,
        run.after_sku,
        through,
        more.skus,
        more.entries,
        more.levels_drifted,
        more.last_entry_id,
        finished_at,
    )
    .execute(conn)
    .await?;
    Ok(taken.rows_affected() > 0)
}

/// Adds corrections to those of a run, of which the first 500 are kept.
pub(crate) async fn note(
    conn: &mut PgConnection,
    run: &Run,
    corrections: &[Uuid],
) -> Result<(), Error> {
    if corrections.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE ledger_run SET corrections = (corrections || $2::uuid[])[1:500] WHERE run_id = $1",
        run.id,
        corrections,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Levels that the last finished run over all SKUs has found to drift; `None` before the first one.
pub(crate) async fn drifted_at_last(conn: &mut PgConnection) -> Result<Option<i64>, Error> {
    let drifted = sqlx::query_scalar!(
        "SELECT levels_drifted FROM ledger_run WHERE finished_at IS NOT NULL AND NOT is_partial
         ORDER BY finished_at DESC LIMIT 1"
    )
    .fetch_optional(conn)
    .await?;
    Ok(drifted)
}

/// Up to `limit` SKUs in their order, after this one; of these, or of all.
pub(crate) async fn next_skus(
    conn: &mut PgConnection,
    after: &str,
    of: Option<&[&str]>,
    limit: i64,
) -> Result<Vec<Sku>, Error> {
    let skus = sqlx::query_scalar!(
        "SELECT sku FROM sku_lane WHERE sku > $1 AND ($2::text[] IS NULL OR sku = ANY($2)) ORDER BY sku LIMIT $3",
        after,
        of as Option<&[&str]>,
        limit,
    )
    .fetch_all(conn)
    .await?;
    skus.iter()
        .map(|sku| read(sku, "sku_lane", "sku", sku))
        .collect()
}
