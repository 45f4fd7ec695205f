//! Applies a proposed correction.

use oms_core::CorrectionId;

use crate::domain::books::Resolution;
use crate::domain::command::{Command, Correct};
use crate::domain::correction::{Correction, CorrectionState};
use crate::domain::effect::Outcome;
use crate::domain::refusal::Refusal;
use crate::store;

use super::read_books::{From, read_books};
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
        let mut conn = ctx.db.snapshot().await?;
        let found = store::corrections::get(&mut conn, &[id.uuid()])
            .await?
            .pop();
        found.ok_or(Refusal::UnknownCorrection(id))?
    };
    let read = match found.state {
        // The whole ledger is read before the lane is locked; under the lock only what came after.
        CorrectionState::Proposed => {
            let sku = found.key.sku.clone();
            let books = read_books(ctx, &[sku], From::Start).await?;
            let of_sku = books.get(&found.key.sku);
            of_sku.map(|books| (books.ledger.entry_id, books.sums(&found.key)))
        }
        _ => None,
    };
    let command = Command::Correct(Correct {
        correction: id,
        key: found.key.clone(),
        version: approve.version,
        resolution: approve.resolution,
        note: approve.note,
        read: read.unwrap_or_default(),
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

async fn mark_stale(ctx: &Ctx, found: &Correction) -> Result<(), Error> {
    ctx.db
        .run_tx("outdate_correction", |tx| {
            Box::pin(async move { outdate(tx, ctx, found).await })
        })
        .await
}
