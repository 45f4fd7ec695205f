//! Corrects stock by hand.

use crate::domain::command::{Adjust, Command};
use crate::domain::level::{Level, LevelKey};

use super::check_references::check_references;
use super::{Call, Ctx, Error, levels_of};

/// A correction.
#[derive(Debug, Clone)]
pub(crate) struct AdjustStock {
    /// Level.
    pub(crate) key: LevelKey,
    /// Units to add, or to take when negative; not zero.
    pub(crate) delta: i64,
    /// Reason code.
    pub(crate) reason: String,
}

/// Adds or takes units. What is taken beyond what is free, the least urgent reservations lose. Answers the level after it.
pub(crate) async fn adjust_stock(
    ctx: &Ctx,
    call: Call,
    adjustment: AdjustStock,
) -> Result<Level, Error> {
    let locations = [("location_id".to_owned(), &adjustment.key.location)];
    check_references(ctx, &locations, &[("sku".to_owned(), &adjustment.key.sku)]).await?;
    let command = Command::Adjust(Adjust {
        key: adjustment.key,
        delta: adjustment.delta,
        reason: adjustment.reason,
        cause: format!("adjustment/{}", call.request_id),
    });
    let levels = levels_of(ctx.submit(call, command).await?)?;
    levels.into_iter().next().ok_or(Error::Conflict)
}
