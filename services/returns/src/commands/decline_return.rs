//! DeclineReturn: refuses a return with a reason.

use oms_core::ReturnId;

use crate::ctx::{Call, Ctx};
use crate::domain::event::Fact;
use crate::domain::returns::Return;
use crate::domain::state::ReturnAction;

use crate::error::Error;

use super::change;

/// Refuses a return.
#[tracing::instrument(name = "returns.decline_return", skip_all, fields(oms.return.id = %return_id))]
pub(crate) async fn decline_return(
    ctx: &Ctx,
    call: &Call,
    return_id: ReturnId,
    etag: Option<i64>,
    reason: &str,
) -> Result<Return, Error> {
    change(ctx, call, "decline_return", return_id, etag, |ret| {
        ret.step(ReturnAction::Decline, "decline")?;
        reason.clone_into(&mut ret.reason);
        Ok(vec![Fact::StateChanged("decline")])
    })
    .await
}
