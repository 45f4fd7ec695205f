//! Goes on with demand that waits for a SKU, where one transaction could not serve all.

use oms_core::{Principal, Sku};

use crate::domain::command::Command;
use crate::lanes::Request;

use super::{Ctx, Error};

/// Gives what is free of the SKU to the oldest demand.
pub(crate) async fn allocate_backorders(
    ctx: &Ctx,
    actor: Principal,
    sku: Sku,
) -> Result<(), Error> {
    let command = Command::AllocateBackorders { sku };
    // Run twice it finds less or nothing to do, so it needs no request id.
    ctx.lanes
        .submit(Request {
            command,
            key: None,
            actor,
        })
        .await?;
    Ok(())
}
