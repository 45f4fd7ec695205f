//! InspectReturn: records what an inspector saw, and refuses refunds where the policy allows it.

use oms_core::ReturnId;

use crate::ctx::{Call, Ctx};
use crate::domain::event::Fact;
use crate::domain::returns::{Return, Units};

use crate::error::Error;

use super::change;

/// Records what was seen: units, condition, and whether their refund is refused.
#[tracing::instrument(name = "returns.inspect_return", skip_all, fields(oms.return.id = %return_id))]
pub(crate) async fn inspect_return(
    ctx: &Ctx,
    call: &Call,
    return_id: ReturnId,
    etag: Option<i64>,
    seen: &[(Units, String, bool)],
) -> Result<Return, Error> {
    change(ctx, call, "inspect_return", return_id, etag, |ret| {
        ret.inspect(seen)?;
        let lines = seen
            .iter()
            .filter_map(|(part, ..)| ret.line_units(part))
            .collect();
        Ok(vec![Fact::Inspected(lines)])
    })
    .await
}
