//! Turns allocated units into shipped ones.

use crate::domain::command::{Command, Issue};
use crate::domain::reservation::Reservation;

use super::{Call, Ctx, Error, reservation_of};

/// Issues each line of the shipment once, however often it is told.
pub(crate) async fn issue_reservation(
    ctx: &Ctx,
    call: Call,
    issue: Issue,
) -> Result<Reservation, Error> {
    Ok(reservation_of(ctx.submit(call, Command::Issue(issue)).await?)?.0)
}
