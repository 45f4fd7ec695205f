//! Turns held units into allocated ones.

use oms_core::ReservationId;

use crate::domain::command::Command;
use crate::domain::reservation::Reservation;

use super::{Call, Ctx, Error, reservation_of};

/// Confirms, also past the expiry when it was not swept yet.
pub(crate) async fn confirm_reservation(
    ctx: &Ctx,
    call: Call,
    reservation: ReservationId,
) -> Result<Reservation, Error> {
    let outcome = ctx.submit(call, Command::Confirm { reservation }).await?;
    Ok(reservation_of(outcome)?.0)
}
