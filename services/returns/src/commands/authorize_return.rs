//! AuthorizeReturn: allows a return; its money goes back now if the refund point is the request.

use oms_core::ReturnId;

use crate::ctx::{Call, Ctx};
use crate::domain::event::Fact;
use crate::domain::returns::Return;
use crate::domain::state::ReturnAction;

use crate::error::Error;

use super::change;

/// Allows a return.
#[tracing::instrument(name = "returns.authorize_return", skip_all, fields(oms.return.id = %return_id))]
pub(crate) async fn authorize_return(
    ctx: &Ctx,
    call: &Call,
    return_id: ReturnId,
    etag: Option<i64>,
) -> Result<Return, Error> {
    change(ctx, call, "authorize_return", return_id, etag, |ret| {
        ret.step(ReturnAction::Authorize, "authorize")?;
        Ok(vec![Fact::StateChanged("authorize")])
    })
    .await
}
