//! Looks again at a reservation that ships complete, under the lanes of all its SKUs.

use oms_core::{Principal, ReservationId};

use crate::domain::command::Command;
use crate::lanes::Request;

use super::{Ctx, Error};

/// Allocates all that waits of it when one location has it.
pub(crate) async fn allocate_complete(
    ctx: &Ctx,
    actor: Principal,
    reservation: ReservationId,
) -> Result<(), Error> {
    let command = Command::AllocateComplete { reservation };
    // Run twice it finds nothing to do, so it needs no request id.
    ctx.lanes
        .submit(Request {
            command,
            key: None,
            actor,
        })
        .await?;
    Ok(())
}
