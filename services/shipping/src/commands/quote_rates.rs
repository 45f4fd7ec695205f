//! Answers what every carrier service would cost. A read; it stands here since it asks peers.

use oms_core::LocationId;

use crate::domain::rates::{Parcel, ServiceLevel};
use crate::domain::shipment::{Destination, Direction};

use super::choose_service::{Way, location, rates};
use super::{Context, Error};

pub(crate) use crate::carriers::Rate;

/// Rates for a way, cheapest first; with a level only those that are fast enough.
#[tracing::instrument(name = "shipping.quote_rates", skip_all)]
pub(crate) async fn quote_rates(
    ctx: &Context,
    location_id: &LocationId,
    destination: &Destination,
    parcels: Vec<Parcel>,
    level: Option<ServiceLevel>,
) -> Result<Vec<Rate>, Error> {
    let at = location(ctx, location_id).await?;
    let way = Way {
        direction: Direction::Outbound,
        location: &at,
        destination,
        parcels,
    };
    let mut rates = rates(ctx, way, ctx.clock.now()).await;
    rates.retain(|rate| level.is_none_or(|level| rate.level.meets(level)));
    Ok(rates)
}
