//! Moves the expiry of a held reservation.

use oms_core::ReservationId;
use time::Duration;

use crate::domain::command::Command;
use crate::domain::reservation::Reservation;

use super::{Call, Ctx, Error, reservation_of};

/// Lets the reservation live so long from now, at most to the end of its longest life.
pub(crate) async fn extend_reservation(
    ctx: &Ctx,
    call: Call,
    reservation: ReservationId,
    time_to_live: Duration,
) -> Result<Reservation, Error> {
    let outcome = ctx
        .submit(
            call,
            Command::Extend {
                reservation,
                time_to_live,
            },
        )
        .await?;
    Ok(reservation_of(outcome)?.0)
}
