//! Creates or replaces the stock policies of many SKUs.

use crate::domain::policy::StockPolicy;

use super::write_policies::{PolicyWrite, check_locations, write_policies};
use super::{Call, Ctx, Error};

/// Writes the policies in one transaction and answers them as they are now, by SKU.
pub(crate) async fn batch_upsert_stock_policies(
    ctx: &Ctx,
    call: Call,
    writes: Vec<PolicyWrite>,
) -> Result<Vec<StockPolicy>, Error> {
    let field = |number| format!("policies[{number}]");
    check_locations(ctx, &writes, field).await?;
    let (call, writes) = (&call, &writes);
    ctx.db
        .run_tx("batch_upsert_stock_policies", |tx| {
            Box::pin(write_policies(tx, ctx, call, writes, field))
        })
        .await
}
