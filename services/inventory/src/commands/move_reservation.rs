//! Takes reserved units from another place instead.

use crate::domain::command::Command;
use crate::domain::move_reservation::MoveReservation;
use crate::domain::reservation::Reservation;

use super::check_references::check_references;
use super::{Call, Ctx, Error, reservation_of};

/// Moves all units or none; refused with a shortage for each place that has too little.
pub(crate) async fn move_reservation(
    ctx: &Ctx,
    call: Call,
    moved: MoveReservation,
) -> Result<Reservation, Error> {
    let lines = moved.moves.iter().enumerate();
    let places: Vec<_> = lines
        .map(|(number, one)| (format!("lines[{number}].to_location_id"), &one.to.location))
        .collect();
    check_references(ctx, &places, &[]).await?;
    Ok(reservation_of(ctx.submit(call, Command::Move(moved)).await?)?.0)
}
