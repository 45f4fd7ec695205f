//! DisposeReturn: decides what becomes of inspected units; inventory follows by the event.

use oms_core::ReturnId;

use crate::ctx::{Call, Ctx};
use crate::domain::event::Fact;
use crate::domain::returns::{Disposition, Return, Units};

use crate::error::Error;

use super::change;

/// Disposes of units.
#[tracing::instrument(name = "returns.dispose_return", skip_all, fields(oms.return.id = %return_id))]
pub(crate) async fn dispose_return(
    ctx: &Ctx,
    call: &Call,
    return_id: ReturnId,
    etag: Option<i64>,
    parts: &[(Units, Disposition)],
) -> Result<Return, Error> {
    change(ctx, call, "dispose_return", return_id, etag, |ret| {
        ret.dispose(parts)?;
        let lines = parts
            .iter()
            .filter_map(|(part, disposition)| Some((ret.line_units(part)?, *disposition)))
            .collect();
        Ok(vec![Fact::Disposed(lines)])
    })
    .await
}
