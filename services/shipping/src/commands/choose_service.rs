//! Which service of which carrier takes a shipment: the cheapest that is fast enough.

use oms_core::LocationId;
use time::OffsetDateTime;

use crate::carriers::{QuoteRequest, Rate};
use crate::clients::Location;
use crate::domain::rates::{Parcel, Place, ServiceLevel};
use crate::domain::shipment::{Destination, Direction};

use super::{Context, Error};

/// A service that the caller insists on. Empty names leave the choice to rates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Carrier.
    pub(crate) carrier_id: String,
    /// Service of the carrier.
    pub(crate) carrier_service: String,
}

/// The way and the packages to choose for.
pub(crate) struct Way<'a> {
    /// Which way the goods go.
    pub(crate) direction: Direction,
    /// Our end.
    pub(crate) location: &'a Location,
    /// The customer's end.
    pub(crate) destination: &'a Destination,
    /// Packages.
    pub(crate) parcels: Vec<Parcel>,
}

/// Asks inventory for a location; one that it does not know is the caller's mistake.
pub(crate) async fn location(ctx: &Context, id: &LocationId) -> Result<Location, Error> {
    match ctx.inventory.location(id).await {
        Ok(Some(location)) => Ok(location),
        Ok(None) => Err(Error::reference(
            "location_id",
            "the location does not exist",
        )),
        Err(error) => Err(Error::Peer {
            peer: "inventory",
            error,
        }),
    }
}

/// Rates of all services for a way, cheapest first.
pub(crate) async fn rates(ctx: &Context, way: Way<'_>, ship_at: OffsetDateTime) -> Vec<Rate> {
    let ours = way.location.place.clone();
    let theirs = Place {
        country_code: way.destination.country_code.clone(),
        postal_code: way.destination.postal_code.clone(),
        point: None,
    };
    let (from, to) = match way.direction {
        Direction::Outbound => (ours, theirs),
        Direction::Return => (theirs, ours),
    };
    ctx.carriers
        .quote(&QuoteRequest {
            from,
            to,
            parcels: way.parcels,
            ship_at,
        })
        .await
}

/// The cheapest rate that meets the level, or the one that is named whatever its level.
pub(crate) fn choose(rates: Vec<Rate>, level: ServiceLevel, named: &Named) -> Result<Rate, Error> {
    let by_name = !named.carrier_id.is_empty() || !named.carrier_service.is_empty();
    let fits = |rate: &Rate| {
        let carrier = named.carrier_id.is_empty() || named.carrier_id == rate.carrier_id;
        let service =
            named.carrier_service.is_empty() || named.carrier_service == rate.carrier_service;
        carrier && service && (!named.carrier_service.is_empty() || rate.level.meets(level))
    };
    let named = if by_name {
        format!("{} {}", named.carrier_id, named.carrier_service)
            .trim()
            .to_owned()
    } else {
        String::new()
    };
    rates
        .into_iter()
        .find(fits)
        .ok_or(Error::NoCarrierService { level, named })
}
