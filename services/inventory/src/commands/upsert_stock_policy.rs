//! Creates or replaces the stock policy of a SKU.

use crate::domain::policy::StockPolicy;

use super::write_policies::{PolicyWrite, check_locations, write_policies};
use super::{Call, Ctx, Error};

/// Writes the policy and answers it as it is now.
pub(crate) async fn upsert_stock_policy(
    ctx: &Ctx,
    call: Call,
    write: PolicyWrite,
) -> Result<StockPolicy, Error> {
    let field = |_| "policy".to_owned();
    let writes = [write];
    check_locations(ctx, &writes, field).await?;
    let (call, writes) = (&call, &writes);
    let written = ctx
        .db
        .run_tx("upsert_stock_policy", |tx| {
            Box::pin(write_policies(tx, ctx, call, writes, field))
        })
        .await?;
    written.into_iter().next().ok_or(Error::Conflict)
}
