//! Compares the ledger with levels and reservations, and proposes corrections where they disagree.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{CorrectionId, Sku, Violations};
use oms_postgres::idempotency;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ctx::SERVICE;
use crate::domain::books::Books;
use crate::domain::correction::{Correction, CorrectionAction, CorrectionState, Decided, review};
use crate::domain::level::LevelKey;
use crate::domain::refusal::Refusal;
use crate::domain::verification::{Run, Seen};
use crate::store;
use crate::store::checkpoints::Checkpoint;

use super::read_books::{From, SkuBooks, read_books};
use super::{Call, Ctx, Error};

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
            let mut conn = ctx.db.snapshot().await?;
            let run = store::ledger_runs::get(&mut conn, id).await?;
            run.ok_or(Error::Conflict)?
        };
        if run.finished_at.is_none() {
            step(ctx, &run, what.skus.as_ref()).await?;
            continue;
        }
        let mut conn = ctx.db.snapshot().await?;
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
    let limit = ctx.verified_skus_max;
    let page = {
        let of: Option<Vec<&str>> = of.map(|skus| skus.iter().map(Sku::as_str).collect());
        let mut conn = ctx.db.snapshot().await?;
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
    /// Checkpoints to move forward.
    remembered: BTreeMap<Sku, Checkpoint>,
    /// The same, read from the first entry: they may also replace what was remembered.
    whole: BTreeMap<Sku, Checkpoint>,
    /// Levels of which the books disagree: the books with the whole ledger, and with the ledger as it was remembered.
    drifted: BTreeMap<LevelKey, (Books, Books)>,
}

/// Reads the books of a page. SKUs that drift are read in the other way, too: nothing is proposed that the whole ledger
/// does not say, and what is remembered tells whether entries were changed afterwards.
async fn examine(ctx: &Ctx, page: &[Sku], is_full: bool) -> Result<Examined, Error> {
    let (first, second) = if is_full {
        (From::Start, From::Checkpoint)
    } else {
        (From::Checkpoint, From::Start)
    };
    let read = read_books(ctx, page, first).await?;
    let doubtful: Vec<Sku> = read
        .iter()
        .filter(|(_, books)| !books.agree())
        .map(|(sku, _)| sku.clone())
        .collect();
    let mut again = read_books(ctx, &doubtful, second).await?;
    let mut examined = Examined::default();
    for (sku, books) in read {
        examined.count(&books);
        let Some(other) = again.remove(&sku) else {
            examined.agrees(sku, books, first);
            continue;
        };
        examined.seen.entries += other.entries;
        let (whole, remembered) = if is_full {
            (books, other)
        } else {
            (other, books)
        };
        if whole.agree() {
            examined.agrees(sku, whole, From::Start);
        } else {
            examined.disagrees(&whole, &remembered);
        }
    }
    Ok(examined)
}

impl Examined {
    fn count(&mut self, books: &SkuBooks) {
        self.seen.skus += 1;
        self.seen.entries += books.entries;
        self.seen.last_entry_id = self.seen.last_entry_id.max(books.ledger.entry_id);
    }

    fn agrees(&mut self, sku: Sku, books: SkuBooks, from: From) {
        match from {
            From::Start => self.whole.insert(sku, books.ledger),
            From::Checkpoint if books.has_more => self.remembered.insert(sku, books.ledger),
            From::Checkpoint => None,
        };
    }

    fn disagrees(&mut self, whole: &SkuBooks, remembered: &SkuBooks) {
        for (key, books) in &whole.levels {
            if books.drifts().is_empty() {
                continue;
            }
            let before = remembered.levels.get(key).copied().unwrap_or_default();
            self.seen.levels_drifted += 1;
            self.drifted.insert(key.clone(), (*books, before));
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
    store::checkpoints::advance(conn, &examined.remembered, false).await?;
    store::checkpoints::advance(conn, &examined.whole, true).await?;
    let last = store::corrections::last(conn, page).await?;
    let mut kept = Vec::new();
    let mut proposed = Vec::new();
    let keys: BTreeSet<&LevelKey> = examined.drifted.keys().chain(last.keys()).collect();
    for key in keys {
        let found = examined.drifted.get(key);
        let gaps = found.map(|(books, _)| books.gaps()).unwrap_or_default();
        let last = last.get(key);
        let review = review(&gaps, last, run.is_full);
        if let Some(last) = last.filter(|_| review.keep) {
            kept.push(last.id.uuid());
        }
        if let Some(last) = last.filter(|_| review.outdate) {
            outdate(conn, ctx, last).await?;
        }
        if let Some((books, remembered)) = found.filter(|_| review.propose) {
            proposed.push(proposal(ctx, run, key, books, remembered));
        }
    }
    store::corrections::confirm(conn, &kept, &run.requested_by).await?;
    kept.extend(store::corrections::propose(conn, &proposed).await?);
    Ok(store::ledger_runs::note(conn, run, &kept).await?)
}

fn proposal(ctx: &Ctx, run: &Run, key: &LevelKey, books: &Books, remembered: &Books) -> Correction {
    Correction {
        id: CorrectionId::generate(&*ctx.ids),
        key: key.clone(),
        state: CorrectionState::Proposed,
        resolution: books.proposal(remembered),
        drifts: books.drifts(),
        proposed_by: run.requested_by.clone(),
        proposed_at: ctx.clock.now(),
        confirmed_by: None,
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
