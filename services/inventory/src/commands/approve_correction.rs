//! Applies a proposed correction.

use oms_core::CorrectionId;

use crate::domain::books::{Resolution, Sums};
use crate::domain::command::{Command, Correct};
use crate::domain::correction::{Correction, CorrectionState};
use crate::domain::effect::Outcome;
use crate::domain::refusal::Refusal;
use crate::store;
use crate::store::checkpoints::Checkpoint;

use super::read_books::read_books;
use super::verify_ledger::outdate;
use super::{Call, Ctx, Error};

/// What somebody approves.
#[derive(Debug, Clone)]
pub(crate) struct ApproveCorrection {
    /// Correction.
    pub(crate) id: CorrectionId,
    /// Version that the caller has read; `None` for any.
    pub(crate) version: Option<i64>,
    /// Which book is right; `None` for what is proposed.
    pub(crate) resolution: Option<Resolution>,
    /// Why, in words.
    pub(crate) note: String,
}

/// Applies it in the lane of its SKU when the books still differ as they did. When they do not, it becomes stale.
pub(crate) async fn approve_correction(
    ctx: &Ctx,
    call: Call,
    approve: ApproveCorrection,
) -> Result<Correction, Error> {
    let id = approve.id;
    let found = {
        let mut conn = ctx.db.read().await?;
        let found = store::corrections::get(&mut conn, &[id.uuid()])
            .await?
            .pop();
        found.ok_or(Refusal::UnknownCorrection(id))?
    };
    let summed = match found.state {
        CorrectionState::Proposed => catch_up(ctx, &found).await?,
        _ => found.summed,
    };
    let command = Command::Correct(Correct {
        correction: id,
        key: found.key.clone(),
        version: approve.version,
        resolution: approve.resolution,
        note: approve.note,
        summed,
    });
    let decided = ctx.submit(call, command).await;
    if matches!(&decided, Err(Error::Refused(Refusal::CorrectionStale(_)))) {
        mark_stale(ctx, &found).await?;
    }
    match decided? {
        Outcome::Correction(correction) => Ok(*correction),
        Outcome::Reservation { .. } | Outcome::Levels(_) => Err(Error::Conflict),
    }
}

/// Reads the ledger on to its end before the lane is locked, which then adds the few entries that come meanwhile.
async fn catch_up(ctx: &Ctx, found: &Correction) -> Result<(i64, Sums), Error> {
    let (entry_id, sums) = found.summed;
    let from = Checkpoint {
        entry_id,
        sums: [(found.key.clone(), sums)].into(),
        ..Checkpoint::default()
    };
    let sku = &found.key.sku;
    let books = read_books(ctx, [(sku.clone(), from)].into(), false, i64::MAX).await?;
    let ledger = books.get(sku).map(|books| &books.ledger);
    Ok(ledger.map_or(found.summed, |ledger| ledger.at(&found.key)))
}

async fn mark_stale(ctx: &Ctx, found: &Correction) -> Result<(), Error> {
    ctx.db
        .run_tx("outdate_correction", |tx| {
            Box::pin(async move { outdate(tx, ctx, found).await })
        })
        .await
}
