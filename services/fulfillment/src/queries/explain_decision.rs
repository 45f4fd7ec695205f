//! Answers a stored proposal with its outcome.

use oms_core::ProposalId;

use crate::ctx::Ctx;
use crate::domain::sourcing::Proposal;
use crate::error::Error;
use crate::store;

/// Answers a stored proposal with its outcome.
pub(crate) async fn explain_decision(ctx: &Ctx, id: ProposalId) -> Result<Proposal, Error> {
    let mut conn = ctx.db.snapshot().await?;
    let found = store::proposals::get(&mut conn, id).await?;
    found.ok_or_else(|| Error::not_found("sourcing_proposal", id))
}
