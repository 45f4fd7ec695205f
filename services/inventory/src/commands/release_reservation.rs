//! Gives units back.

use crate::domain::command::{Command, Release};
use crate::domain::reservation::Reservation;

use super::{Call, Ctx, Error, reservation_of};

/// Gives back what is named, or all that is live. Of an unknown id it leaves a tombstone.
pub(crate) async fn release_reservation(
    ctx: &Ctx,
    call: Call,
    release: Release,
) -> Result<Reservation, Error> {
    Ok(reservation_of(ctx.submit(call, Command::Release(release)).await?)?.0)
}
