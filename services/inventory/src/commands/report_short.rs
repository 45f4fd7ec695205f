//! Takes units that a picker did not find out of a reservation.

use crate::domain::command::{Command, ReportShort};
use crate::domain::reservation::Reservation;

use super::{Call, Ctx, Error, reservation_of};

/// Moves the units to COUNT_PENDING, never back to free stock.
pub(crate) async fn report_short(
    ctx: &Ctx,
    call: Call,
    short: ReportShort,
) -> Result<Reservation, Error> {
    Ok(reservation_of(ctx.submit(call, Command::ReportShort(short)).await?)?.0)
}
