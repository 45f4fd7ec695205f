//! Takes stock for an order.

use oms_core::{LocationId, Sku};

use crate::domain::command::{Command, Reserve};
use crate::domain::reservation::{Reservation, Shortage};

use super::check_references::{Reference, check_references};
use super::{Call, Ctx, Error, reservation_of};

/// Fits an order to the ranked locations and takes the units, all lines in one transaction.
pub(crate) async fn reserve(
    ctx: &Ctx,
    call: Call,
    reserve: Reserve,
) -> Result<(Reservation, Vec<Shortage>), Error> {
    let ranked = reserve.wishes.ranked.iter().enumerate();
    let mut locations: Vec<Reference<'_, LocationId>> = ranked
        .map(|(number, id)| (format!("ranked_location_ids[{number}]"), id))
        .collect();
    let mut skus: Vec<Reference<'_, Sku>> = Vec::new();
    for (number, demand) in reserve.demands.iter().enumerate() {
        skus.push((format!("lines[{number}].sku"), &demand.sku));
        for id in demand.eligible.iter().flatten() {
            locations.push((format!("lines[{number}].eligible_location_ids"), id));
        }
    }
    check_references(ctx, &locations, &skus).await?;
    reservation_of(ctx.submit(call, Command::Reserve(reserve)).await?)
}
