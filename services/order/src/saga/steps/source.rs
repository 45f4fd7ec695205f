//! Source: asks fulfillment where the order may come from. Takes nothing, so there is nothing to undo.

use tonic::Code;

use super::{Done, Failure, Record};
use crate::ctx::{Ctx, request_id_for};
use crate::saga::run::Run;

pub(super) async fn forward(ctx: &Ctx, run: &Run) -> Result<Done, Failure> {
    let request_id = request_id_for(run.order_id().uuid(), "source");
    let proposal = match ctx.fulfillment.propose(request_id, run.order()).await {
        Ok(proposal) => proposal,
        Err(error) if error.code() == Code::FailedPrecondition => {
            return Ok(Done::refused("NO_LOCATION", error.to_string()));
        }
        Err(error) => return Err(Failure::of_peer("fulfillment", &error)),
    };
    if proposal.ranked.is_empty() {
        let note = "no location may serve the order".to_owned();
        return Ok(Done::refused("NO_LOCATION", note));
    }
    Ok(Done {
        note: proposal.ranked.join(", "),
        ..Done::with(Record::Proposal(proposal))
    })
}
