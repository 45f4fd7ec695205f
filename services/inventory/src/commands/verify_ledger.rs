//! Compares the ledger with levels and reservations, and proposes corrections where they disagree.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{CorrectionId, Sku, Violations};
use oms_postgres::idempotency;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ctx::SERVICE;
use crate::domain::books::{Books, Gaps, Sums};
use crate::domain::correction::{Correction, CorrectionAction, CorrectionState, Decided, review};
use crate::domain::level::LevelKey;
use crate::domain::refusal::Refusal;
use crate::domain::verification::{Run, Seen};
use crate::store;
use crate::store::checkpoints::Moved;

use super::read_books::{SkuBooks, from_checkpoints, from_start, read_books};
use super::{Call, Ctx, Error};

/// Most SKUs of a page when all their entries are read.
const FULL_SKUS_MAX: i64 = 10;

/// A ledger that is longer than this is not read from its first entry to make sure of a drift.
const WHOLE_ENTRIES_MAX: i64 = 5_000_000;

/// What to verify.
#[derive(Debug, Clone)]
pub(crate) struct VerifyLedger {
    /// Whether to read from the first entry.
    pub(crate) is_full: bool,
    /// SKUs to look at; `None` for all.
    pub(crate) skus: Option<BTreeSet<Sku>>,
}

/// What was verified.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    /// The run.
    pub(crate) run: Run,
    /// The first corrections that it has proposed or found to be still true, newest first.
    pub(crate) corrections: Vec<Correction>,
}

/// Verifies page by page, each in a short transaction of its own. The same call, repeated, goes on where it was, beside
/// whoever else works on it.
pub(crate) async fn verify_ledger(
    ctx: &Ctx,
    call: Call,
    what: VerifyLedger,
) -> Result<Verified, Error> {
    let id = begin(ctx, &call, &what).await?;
    loop {
        let run = {
            let mut conn = ctx.db.read().await?;
            let run = store::ledger_runs::get(&mut conn, id).await?;
            run.ok_or(Error::Conflict)?
        };
        if run.finished_at.is_none() {
            step(ctx, &run, what.skus.as_ref()).await?;
            continue;
        }
        let mut conn = ctx.db.read().await?;
        let corrections = store::corrections::get(&mut conn, &run.corrections).await?;
        return Ok(Verified { run, corrections });
    }
}

/// The run of the call, which is begun when there is none.
async fn begin(ctx: &Ctx, call: &Call, what: &VerifyLedger) -> Result<Uuid, Error> {
    ctx.db
        .run_tx("verify_ledger", |tx| {
            Box::pin(async move {
                let key = call.key();
                if let Some(found) = idempotency::check(tx, &key).await? {
                    return found.parse().map_err(|_| Error::Conflict);
                }
                check_skus(tx, what.skus.as_ref()).await?;
                let run = Run {
                    id: ctx.ids.next(),
                    requested_by: call.principal.to_string(),
                    is_full: what.is_full,
                    is_partial: what.skus.is_some(),
                    after_sku: String::new(),
                    seen: Seen::default(),
                    corrections: Vec::new(),
                    started_at: ctx.clock.now(),
                    finished_at: None,
                };
                store::ledger_runs::insert(tx, &run).await?;
                idempotency::record(tx, &key, &run.id.to_string()).await?;
                Ok(run.id)
            })
        })
        .await
}

async fn check_skus(conn: &mut PgConnection, skus: Option<&BTreeSet<Sku>>) -> Result<(), Error> {
    let asked: Vec<Sku> = skus.into_iter().flatten().cloned().collect();
    let known = store::lanes::existing(conn, &asked).await?;
    let mut violations = Violations::default();
    for sku in &asked {
        let is_known = known.iter().any(|known| known == sku.as_str());
        violations.check(
            is_known,
            "skus",
            "SKU_UNKNOWN",
            format!("{sku} is not known"),
        );
    }
    Ok(violations.into_result().map_err(Refusal::Invalid)?)
}

/// Verifies the next page of a run.
async fn step(ctx: &Ctx, run: &Run, of: Option<&BTreeSet<Sku>>) -> Result<(), Error> {
    let limit = if run.is_full {
        ctx.verified_skus_max.min(FULL_SKUS_MAX)
    } else {
        ctx.verified_skus_max
    };
    let page = {
        let of: Option<Vec<&str>> = of.map(|skus| skus.iter().map(Sku::as_str).collect());
        let mut conn = ctx.db.read().await?;
        store::ledger_runs::next_skus(&mut conn, &run.after_sku, of.as_deref(), limit).await?
    };
    let examined = &examine(ctx, &page, run.is_full).await?;
    let is_last = i64::try_from(page.len()).is_ok_and(|read| read < limit);
    let through = page.last().map_or(run.after_sku.as_str(), Sku::as_str);
    let page = &page;
    ctx.db
        .run_tx("verify_ledger", |tx| {
            Box::pin(async move {
                let finished_at = is_last.then(|| ctx.clock.now());
                let seen = examined.seen;
                if store::ledger_runs::step(tx, run, through, seen, finished_at).await? {
                    write(tx, ctx, run, page, examined).await?;
                }
                Ok(())
            })
        })
        .await
}

/// What is to be said of a page of SKUs.
#[derive(Debug, Default)]
struct Examined {
    seen: Seen,
    /// Checkpoints to move, read from where they were.
    read_on: BTreeMap<Sku, Moved>,
    /// Checkpoints to move, read from the first entry: they replace what was remembered wrongly.
    read_whole: BTreeMap<Sku, Moved>,
    drifted: BTreeMap<LevelKey, Drifted>,
}

/// A level of which the books disagree.
#[derive(Debug)]
struct Drifted {
    books: Books,
    /// The same with the ledger read from the checkpoint.
    remembered: Books,
    /// The ledger up to its end.
    summed: (i64, Sums),
}

/// Reads the books of a page. A SKU that drifts is read in the other way, too: nothing is proposed that its whole ledger
/// does not say, and what was remembered tells whether entries were changed afterwards.
async fn examine(ctx: &Ctx, page: &[Sku], is_full: bool) -> Result<Examined, Error> {
    let read = if is_full {
        read_books(ctx, from_start(page), false, i64::MAX).await?
    } else {
        read_books(ctx, from_checkpoints(ctx, page).await?, true, i64::MAX).await?
    };
    let doubtful = doubtful(ctx, &read, is_full).await?;
    let mut again = if is_full {
        read_books(
            ctx,
            from_checkpoints(ctx, &doubtful).await?,
            false,
            i64::MAX,
        )
        .await?
    } else {
        read_books(ctx, from_start(&doubtful), false, WHOLE_ENTRIES_MAX).await?
    };
    let mut examined = Examined::default();
    for (sku, books) in read {
        examined.count(&books);
        let other = again.remove(&sku);
        examined.seen.entries += other.as_ref().map_or(0, |other| other.entries);
        match (is_full, other) {
            (false, None) => examined.look_at(sku, &books, &books, false),
            (false, Some(whole)) => examined.look_at(sku, &whole, &books, true),
            (true, None) => examined.look_at(sku, &books, &books, true),
            (true, Some(remembered)) => examined.look_at(sku, &books, &remembered, true),
        }
    }
    Ok(examined)
}

/// SKUs that have to be read in the other way: those that drift otherwise than it is known already.
async fn doubtful(
    ctx: &Ctx,
    read: &BTreeMap<Sku, SkuBooks>,
    is_full: bool,
) -> Result<Vec<Sku>, Error> {
    let drifting = read.iter().filter(|(_, books)| !books.agree());
    let skus: Vec<Sku> = drifting.clone().map(|(sku, _)| sku.clone()).collect();
    if skus.is_empty() {
        return Ok(skus);
    }
    let last = {
        let mut conn = ctx.db.read().await?;
        store::corrections::last(&mut conn, &skus).await?
    };
    let is_known = |books: &SkuBooks| {
        books.levels.iter().all(|(key, books)| {
            let gaps = books.gaps();
            gaps == Gaps::default() || review(&gaps, last.get(key), is_full).keep
        })
    };
    let unknown = drifting.filter(|(_, books)| !is_known(books));
    Ok(unknown.map(|(sku, _)| sku.clone()).collect())
}

impl Examined {
    fn count(&mut self, books: &SkuBooks) {
        self.seen.skus += 1;
        self.seen.entries += books.entries;
        self.seen.last_entry_id = self.seen.last_entry_id.max(books.ledger.entry_id);
    }

    /// `books` are believed; `remembered` are the same read from the checkpoint.
    fn look_at(&mut self, sku: Sku, books: &SkuBooks, remembered: &SkuBooks, is_whole: bool) {
        let moved = Moved {
            checkpoint: books.ledger.clone(),
            agrees: books.agree(),
        };
        for (key, of_level) in &books.levels {
            if of_level.drifts().is_empty() {
                continue;
            }
            self.seen.levels_drifted += 1;
            let drifted = Drifted {
                books: *of_level,
                remembered: remembered.levels.get(key).copied().unwrap_or_default(),
                summed: books.ledger.at(key),
            };
            self.drifted.insert(key.clone(), drifted);
        }
        if is_whole {
            self.read_whole.insert(sku, moved);
        } else if books.entries > 0 || (moved.agrees && books.ledger.is_behind()) {
            self.read_on.insert(sku, moved);
        }
    }
}

/// Moves checkpoints and proposes, keeps or outdates corrections.
async fn write(
    conn: &mut PgConnection,
    ctx: &Ctx,
    run: &Run,
    page: &[Sku],
    examined: &Examined,
) -> Result<(), Error> {
    store::checkpoints::advance(conn, &examined.read_on, false).await?;
    store::checkpoints::advance(conn, &examined.read_whole, true).await?;
    let last = store::corrections::last(conn, page).await?;
    let mut found = Vec::new();
    let mut proposed = Vec::new();
    let keys: BTreeSet<&LevelKey> = examined.drifted.keys().chain(last.keys()).collect();
    for key in keys {
        let drifted = examined.drifted.get(key);
        let gaps = drifted.map(|drifted| drifted.books.gaps());
        let last = last.get(key);
        let review = review(&gaps.unwrap_or_default(), last, run.is_full);
        if let Some((last, drifted)) = last.zip(drifted).filter(|_| review.keep) {
            found.push(last.id.uuid());
            let by = &run.requested_by;
            store::corrections::keep(conn, last.id, &drifted.summed, by).await?;
        }
        if let Some(last) = last.filter(|_| review.outdate) {
            outdate(conn, ctx, last).await?;
        }
        if let Some(drifted) = drifted.filter(|_| review.propose) {
            let mut proposal = proposal(ctx, run, key, drifted);
            // The witnesses against the ledger are gone once its sums were put right.
            if let Some(last) = last.filter(|last| Some(last.gaps()) == gaps) {
                proposal.resolution = last.resolution;
            }
            proposed.push(proposal);
        }
    }
    found.extend(store::corrections::propose(conn, &proposed).await?);
    Ok(store::ledger_runs::note(conn, run, &found).await?)
}

fn proposal(ctx: &Ctx, run: &Run, key: &LevelKey, drifted: &Drifted) -> Correction {
    let books = &drifted.books;
    Correction {
        id: CorrectionId::generate(&*ctx.ids),
        key: key.clone(),
        state: CorrectionState::Proposed,
        resolution: books.proposal(&drifted.remembered),
        drifts: books.drifts(),
        proposed_by: run.requested_by.clone(),
        proposed_at: ctx.clock.now(),
        confirmed_by: None,
        summed: drifted.summed,
        decided: None,
        version: 1,
    }
}

/// Marks a correction as out of date, unless somebody decided about it meanwhile.
pub(super) async fn outdate(
    conn: &mut PgConnection,
    ctx: &Ctx,
    correction: &Correction,
) -> Result<(), Error> {
    let decided = Decided {
        by: SERVICE.to_owned(),
        at: ctx.clock.now(),
        note: "the books have changed since".to_owned(),
    };
    if let Some(stale) = correction.after(CorrectionAction::Outdate, decided) {
        store::corrections::decide(conn, &stale).await?;
    }
    Ok(())
}
