//! ReceiveReturn: books units in that arrived; inventory follows by the event.

use oms_core::ReturnId;

use crate::ctx::{Call, Ctx};
use crate::domain::event::Fact;
use crate::domain::returns::{Return, Units};

use crate::error::Error;

use super::change;

/// Books units in.
#[tracing::instrument(name = "returns.receive_return", skip_all, fields(oms.return.id = %return_id))]
pub(crate) async fn receive_return(
    ctx: &Ctx,
    call: &Call,
    return_id: ReturnId,
    etag: Option<i64>,
    units: &[Units],
) -> Result<Return, Error> {
    change(ctx, call, "receive_return", return_id, etag, |ret| {
        ret.receive(units)?;
        let lines = units
            .iter()
            .filter_map(|part| ret.line_units(part))
            .collect();
        Ok(vec![Fact::Received(lines)])
    })
    .await
}
