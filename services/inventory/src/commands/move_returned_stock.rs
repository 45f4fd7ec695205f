//! Books returned goods in, and moves them to where they were disposed of.

use crate::domain::command::{Command, MoveReturned};

use super::check_references::check_references;
use super::{Call, Ctx, Error};

/// Each move is booked once for its cause.
pub(crate) async fn move_returned_stock(
    ctx: &Ctx,
    call: Call,
    moved: MoveReturned,
) -> Result<(), Error> {
    check_references(ctx, &[("location_id".to_owned(), &moved.location)], &[]).await?;
    ctx.submit(call, Command::MoveReturned(moved)).await?;
    Ok(())
}
