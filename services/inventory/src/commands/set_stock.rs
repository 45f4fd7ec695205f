//! Sets stock to what was counted.

use crate::domain::command::{Command, Measure, SetStock as Set};
use crate::domain::level::{Level, LevelKey};

use super::check_references::check_references;
use super::{Call, Ctx, Error, levels_of};

/// A count.
#[derive(Debug, Clone)]
pub(crate) struct SetStock {
    /// Level.
    pub(crate) key: LevelKey,
    /// What of it was counted.
    pub(crate) measure: Measure,
    /// Units that are there.
    pub(crate) quantity: i64,
    /// Units that the caller saw before.
    pub(crate) expected: i64,
    /// Reason code.
    pub(crate) reason: String,
}

/// Writes what was counted, if nothing has changed since the caller looked. Answers the level after it.
pub(crate) async fn set_stock(ctx: &Ctx, call: Call, set: SetStock) -> Result<Level, Error> {
    let locations = [("location_id".to_owned(), &set.key.location)];
    check_references(ctx, &locations, &[("sku".to_owned(), &set.key.sku)]).await?;
    let command = Command::SetStock(Set {
        key: set.key,
        measure: set.measure,
        quantity: set.quantity,
        expected: set.expected,
        reason: set.reason,
        cause: format!("count/{}", call.request_id),
    });
    let levels = levels_of(ctx.submit(call, command).await?)?;
    levels.into_iter().next().ok_or(Error::Conflict)
}
