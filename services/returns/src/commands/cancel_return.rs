//! CancelReturn: gives a return up before anything arrived or was refunded.

use oms_core::ReturnId;

use crate::ctx::{Call, Ctx};
use crate::domain::event::Fact;
use crate::domain::returns::Return;

use crate::error::Error;

use super::change;

/// Cancels a return.
#[tracing::instrument(name = "returns.cancel_return", skip_all, fields(oms.return.id = %return_id))]
pub(crate) async fn cancel_return(
    ctx: &Ctx,
    call: &Call,
    return_id: ReturnId,
    etag: Option<i64>,
    reason: &str,
) -> Result<Return, Error> {
    change(ctx, call, "cancel_return", return_id, etag, |ret| {
        ret.cancel()?;
        reason.clone_into(&mut ret.reason);
        Ok(vec![Fact::StateChanged("cancel")])
    })
    .await
}
