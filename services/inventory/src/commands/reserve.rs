//! Takes stock for an order.

use oms_core::{LocationId, Quantity, Sku, Violations};

use crate::domain::command::{Command, Reserve};
use crate::domain::refusal::Refusal;
use crate::domain::reservation::{Reservation, Shortage};
use crate::store;

use super::check_references::{Reference, check_references};
use super::{Call, Ctx, Error, reservation_of};

/// How often kits that were changed meanwhile are looked up again.
const LOOKED_MAX: usize = 5;

/// Most SKUs that the kits of one order come down to.
const PARTS_MAX: usize = 1_000;

/// Fits an order to the ranked locations and takes the units, all lines in one transaction. Kits become their
/// components before they are queued, so that the lanes of those are taken.
pub(crate) async fn reserve(
    ctx: &Ctx,
    call: Call,
    mut reserve: Reserve,
) -> Result<(Reservation, Vec<Shortage>), Error> {
    check(ctx, &reserve).await?;
    for _ in 0..LOOKED_MAX {
        explode(ctx, &mut reserve)?;
        let command = Command::Reserve(reserve.clone());
        match ctx.submit(call.clone(), command).await {
            Err(Error::Refused(Refusal::Recomposed)) => look_up(ctx, &reserve).await?,
            decided => return reservation_of(decided?),
        }
    }
    Err(Error::Conflict)
}

async fn check(ctx: &Ctx, reserve: &Reserve) -> Result<(), Error> {
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
    check_references(ctx, &locations, &skus).await
}

/// Gives the lines the kits that are known. The lanes find out when they are not as they were, or not all of them.
fn explode(ctx: &Ctx, reserve: &mut Reserve) -> Result<(), Refusal> {
    let mut violations = Violations::default();
    let mut parts = 0;
    for (number, demand) in reserve.demands.iter_mut().enumerate() {
        demand.kit = ctx.kits.get(&demand.sku);
        let Some(kit) = &demand.kit else { continue };
        parts += kit.parts.len();
        let units = kit.parts.iter().map(|part| part.quantity);
        let most = units.max().unwrap_or(1).saturating_mul(demand.quantity);
        violations.check(
            most <= Quantity::MAX,
            format!("lines[{number}].quantity"),
            "QUANTITY_INVALID",
            format!("the kits need {most} units of a component"),
        );
    }
    let message = format!("the kits have {parts} components, at most {PARTS_MAX}");
    violations.check(parts <= PARTS_MAX, "lines", "FIELD_OUT_OF_RANGE", message);
    violations.into_result().map_err(Refusal::Invalid)
}

async fn look_up(ctx: &Ctx, reserve: &Reserve) -> Result<(), Error> {
    let skus = || reserve.demands.iter().map(|demand| &demand.sku);
    let asked: Vec<Sku> = skus().cloned().collect();
    let mut conn = ctx.db.read().await?;
    let kits = store::kits::get(&mut conn, &asked).await?;
    ctx.kits.see(skus(), kits);
    Ok(())
}
