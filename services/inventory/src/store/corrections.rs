//! Corrections of stock, and the accounts that they are about.

use std::collections::BTreeMap;

use oms_core::{CorrectionId, Sku};
use oms_postgres::Error;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::account::Account;
use crate::domain::books::{Drift, Resolution, Sums};
use crate::domain::command::Correct;
use crate::domain::correct::OpenCorrection;
use crate::domain::correction::{Correction, CorrectionState, Decided};
use crate::domain::level::LevelKey;

use super::{books, inconsistent, read, texts};

const TABLE: &str = "stock_correction";

struct CorrectionRow {
    correction_id: Uuid,
    sku: String,
    location_id: String,
    lot: String,
    state: String,
    resolution: String,
    proposed_by: String,
    proposed_at: OffsetDateTime,
    confirmed_by: Option<String>,
    summed_entry_id: i64,
    sums: Vec<i64>,
    decided_by: Option<String>,
    decided_at: Option<OffsetDateTime>,
    note: String,
    version: i64,
}

impl TryFrom<CorrectionRow> for Correction {
    type Error = Error;

    fn try_from(row: CorrectionRow) -> Result<Self, Error> {
        let id = row.correction_id;
        let decided = row.decided_by.zip(row.decided_at);
        let sums = Sums::try_from(row.sums).map_err(|_| inconsistent(TABLE, "sums", id))?;
        Ok(Self {
            id: CorrectionId::new(id),
            key: LevelKey {
                sku: read(&row.sku, TABLE, "sku", id)?,
                location: read(&row.location_id, TABLE, "location_id", id)?,
                lot: row.lot,
            },
            state: CorrectionState::parse(&row.state)
                .ok_or_else(|| inconsistent(TABLE, "state", id))?,
            resolution: Resolution::parse(&row.resolution)
                .ok_or_else(|| inconsistent(TABLE, "resolution", id))?,
            drifts: Vec::new(),
            proposed_by: row.proposed_by,
            proposed_at: row.proposed_at,
            confirmed_by: row.confirmed_by,
            summed: (row.summed_entry_id, sums),
            decided: decided.map(|(by, at)| Decided {
                by,
                at,
                note: row.note,
            }),
            version: row.version,
        })
    }
}

/// Corrections by id, locked in their order; those that are not there are missing.
pub(crate) async fn lock(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Correction>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        CorrectionRow,
        "SELECT correction_id, sku, location_id, lot, state, resolution, proposed_by, proposed_at, confirmed_by,
                summed_entry_id, sums, decided_by, decided_at, note, version
         FROM stock_correction WHERE correction_id = ANY($1) ORDER BY correction_id FOR UPDATE",
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    with_drifts(conn, rows).await
}

/// Corrections of these commands with the differences of their books, for lanes that hold the locks of their SKUs.
pub(crate) async fn open(
    conn: &mut PgConnection,
    commands: &[&Correct],
) -> Result<Vec<OpenCorrection>, Error> {
    let of: BTreeMap<CorrectionId, &Correct> = commands
        .iter()
        .map(|command| (command.correction, *command))
        .collect();
    let ids: Vec<Uuid> = of.keys().map(|id| id.uuid()).collect();
    let mut found = Vec::new();
    for correction in lock(conn, &ids).await? {
        let Some(command) = of.get(&correction.id) else {
            continue;
        };
        let (after, sums) = command.summed;
        let skus = [correction.key.sku.clone()];
        let fresh = books::read_all(conn, &skus, &[after], i64::MAX).await?;
        let fresh = fresh.get(&correction.key.sku);
        let mut books = fresh
            .and_then(|sku| sku.levels.get(&correction.key))
            .copied()
            .unwrap_or_default();
        for (sum, before) in books.ledger.iter_mut().zip(sums) {
            *sum = sum.saturating_add(before);
        }
        found.push(OpenCorrection {
            gaps: books.gaps(),
            correction,
        });
    }
    Ok(found)
}

/// Corrections by id, newest first; those that are not there are missing.
pub(crate) async fn get(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Correction>, Error> {
    let rows = sqlx::query_as!(
        CorrectionRow,
        "SELECT correction_id, sku, location_id, lot, state, resolution, proposed_by, proposed_at, confirmed_by,
                summed_entry_id, sums, decided_by, decided_at, note, version
         FROM stock_correction WHERE correction_id = ANY($1) ORDER BY correction_id DESC",
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    with_drifts(conn, rows).await
}

/// The last word about each level of these SKUs: what is proposed, else what was decided last.
pub(crate) async fn last(
    conn: &mut PgConnection,
    skus: &[Sku],
) -> Result<BTreeMap<LevelKey, Correction>, Error> {
    let rows = sqlx::query_as!(
        CorrectionRow,
        "SELECT DISTINCT ON (sku, location_id, lot)
                correction_id, sku, location_id, lot, state, resolution, proposed_by, proposed_at, confirmed_by,
                summed_entry_id, sums, decided_by, decided_at, note, version
         FROM stock_correction WHERE sku = ANY($1)
         ORDER BY sku, location_id, lot, (state = 'PROPOSED') DESC, proposed_at DESC, correction_id DESC",
        &texts(skus) as &[&str],
    )
    .fetch_all(&mut *conn)
    .await?;
    let found = with_drifts(conn, rows).await?;
    Ok(found
        .into_iter()
        .map(|one| (one.key.clone(), one))
        .collect())
}

/// Which corrections to list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter<'a> {
    /// State; `None` for all.
    pub(crate) state: Option<CorrectionState>,
    /// SKU; `None` for all.
    pub(crate) sku: Option<&'a Sku>,
}

/// Up to `limit` corrections, newest first, before this one.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: Filter<'_>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Correction>, Error> {
    let rows = sqlx::query_as!(
        CorrectionRow,
        "SELECT correction_id, sku, location_id, lot, state, resolution, proposed_by, proposed_at, confirmed_by,
                summed_entry_id, sums, decided_by, decided_at, note, version
         FROM stock_correction
         WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR sku = $2)
           AND ($3::uuid IS NULL OR correction_id < $3)
         ORDER BY correction_id DESC LIMIT $4",
        filter.state.map(CorrectionState::as_str),
        filter.sku.map(Sku::as_str),
        before,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    with_drifts(conn, rows).await
}

async fn with_drifts(
    conn: &mut PgConnection,
    rows: Vec<CorrectionRow>,
) -> Result<Vec<Correction>, Error> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.correction_id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let lines = sqlx::query!(
        "SELECT correction_id, account, ledger, stored, reserved FROM stock_correction_drift
         WHERE correction_id = ANY($1)",
        &ids,
    )
    .fetch_all(conn)
    .await?;
    let mut drifts: BTreeMap<Uuid, Vec<Drift>> = BTreeMap::new();
    for line in lines {
        let id = line.correction_id;
        let account = Account::parse(&line.account)
            .ok_or_else(|| inconsistent("stock_correction_drift", "account", id))?;
        drifts.entry(id).or_default().push(Drift {
            account,
            ledger: line.ledger,
            stored: line.stored,
            reserved: line.reserved,
        });
    }
    let corrections = rows.into_iter().map(|row| {
        let mut drifts = drifts.remove(&row.correction_id).unwrap_or_default();
        drifts.sort_by_key(|one| one.account);
        Ok(Correction {
            drifts,
            ..Correction::try_from(row)?
        })
    });
    corrections.collect()
}

/// Proposes corrections; answers those that are new. A level for which one is proposed already keeps that one.
pub(crate) async fn propose(
    conn: &mut PgConnection,
    corrections: &[Correction],
) -> Result<Vec<Uuid>, Error> {
    let mut new = Vec::new();
    for one in corrections {
        let proposed = sqlx::query!(
            "INSERT INTO stock_correction (correction_id, sku, location_id, lot, state, resolution, proposed_by,
                                           proposed_at, summed_entry_id, sums, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (sku, location_id, lot) WHERE state = 'PROPOSED' DO NOTHING",
            one.id.uuid(),
            one.key.sku.as_str(),
            one.key.location.as_str(),
            one.key.lot,
            one.state.as_str(),
            one.resolution.as_str(),
            one.proposed_by,
            one.proposed_at,
            one.summed.0,
            &one.summed.1,
            one.version,
        )
        .execute(&mut *conn)
        .await?;
        if proposed.rows_affected() > 0 {
            insert_drifts(conn, one).await?;
            new.push(one.id.uuid());
        }
    }
    Ok(new)
}

async fn insert_drifts(conn: &mut PgConnection, of: &Correction) -> Result<(), Error> {
    let accounts: Vec<&str> = of.drifts.iter().map(|one| one.account.as_str()).collect();
    let ledger: Vec<i64> = of.drifts.iter().map(|one| one.ledger).collect();
    let stored: Vec<i64> = of.drifts.iter().map(|one| one.stored).collect();
    let reserved: Vec<Option<i64>> = of.drifts.iter().map(|one| one.reserved).collect();
    sqlx::query!(
        "INSERT INTO stock_correction_drift (correction_id, account, ledger, stored, reserved)
         SELECT $1, d.account, d.ledger, d.stored, d.reserved
         FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS d (account, ledger, stored, reserved)",
        of.id.uuid(),
        &accounts as &[&str],
        &ledger,
        &stored,
        &reserved as &[Option<i64>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A run has found what a correction says, too, with the ledger summed up to here. Whoever asked for it confirms it when
/// somebody else has proposed it.
pub(crate) async fn keep(
    conn: &mut PgConnection,
    id: CorrectionId,
    summed: &(i64, Sums),
    requested_by: &str,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE stock_correction
         SET summed_entry_id = $2, sums = $3,
             confirmed_by = COALESCE(confirmed_by, CASE WHEN proposed_by <> $4 THEN $4 END)
         WHERE correction_id = $1 AND state = 'PROPOSED'",
        id.uuid(),
        summed.0,
        &summed.1,
        requested_by,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what a board decided, under the locks of [`open`].
pub(crate) async fn write(
    conn: &mut PgConnection,
    decided: impl Iterator<Item = &Correction>,
) -> Result<(), Error> {
    for one in decided {
        if !decide(conn, one).await? {
            let message = format!("{TABLE} {} is not as it had been read", one.id);
            return Err(sqlx::Error::Protocol(message).into());
        }
    }
    Ok(())
}

/// Writes what was decided about a correction. False when it is not as it was read any more.
pub(crate) async fn decide(conn: &mut PgConnection, decided: &Correction) -> Result<bool, Error> {
    let (by, at, note) = match &decided.decided {
        Some(how) => (Some(how.by.as_str()), Some(how.at), how.note.as_str()),
        None => (None, None, ""),
    };
    let written = sqlx::query!(
        "UPDATE stock_correction
         SET state = $2, resolution = $3, decided_by = $4, decided_at = $5, note = $6, version = $7
         WHERE correction_id = $1 AND version = $8",
        decided.id.uuid(),
        decided.state.as_str(),
        decided.resolution.as_str(),
        by,
        at,
        note,
        decided.version,
        decided.version - 1,
    )
    .execute(conn)
    .await?;
    Ok(written.rows_affected() > 0)
}
