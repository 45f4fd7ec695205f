//! Moves free stock to another place.

use oms_core::Sku;

use crate::domain::command::{Command, MoveStock as Move};
use crate::domain::level::{Level, LevelKey};
use crate::domain::reservation::Place;

use super::check_references::check_references;
use super::{Call, Ctx, Error, levels_of};

/// A move.
#[derive(Debug, Clone)]
pub(crate) struct MoveStock {
    /// SKU.
    pub(crate) sku: Sku,
    /// Where the units are.
    pub(crate) from: Place,
    /// Where they come.
    pub(crate) to: Place,
    /// Units, above zero.
    pub(crate) quantity: i64,
    /// Reason code.
    pub(crate) reason: String,
}

/// Moves the units in one transaction. Answers both levels after it: the one they left, the one they came to.
pub(crate) async fn move_stock(
    ctx: &Ctx,
    call: Call,
    moved: MoveStock,
) -> Result<(Level, Level), Error> {
    let locations = [
        ("from.location_id".to_owned(), &moved.from.location),
        ("to.location_id".to_owned(), &moved.to.location),
    ];
    check_references(ctx, &locations, &[("sku".to_owned(), &moved.sku)]).await?;
    let key = |place: Place| LevelKey {
        sku: moved.sku.clone(),
        location: place.location,
        lot: place.lot,
    };
    let (from, to) = (key(moved.from), key(moved.to));
    let command = Command::MoveStock(Move {
        from: from.clone(),
        to: to.clone(),
        quantity: moved.quantity,
        reason: moved.reason,
        cause: format!("move/{}", call.request_id),
    });
    let levels = levels_of(ctx.submit(call, command).await?)?;
    let find = |key: &LevelKey| levels.iter().find(|level| level.key == *key).cloned();
    find(&from).zip(find(&to)).ok_or(Error::Conflict)
}
