//! The inventory service: where a location is.

use oms_core::LocationId;
use oms_core::geo::Point;
use oms_proto::common::v1::PostalAddress;
use oms_proto::inventory::v1::GetLocationRequest;
use oms_proto::inventory::v1::location_service_client::LocationServiceClient;
use oms_service::{PeerChannel, PeerError};
use tonic::Code;

use crate::domain::rates::Place;

/// Calls of the inventory service.
#[derive(Clone)]
pub(crate) struct InventoryClient {
    locations: LocationServiceClient<PeerChannel>,
}

/// One of our places.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Location {
    /// Name for people.
    pub(crate) name: String,
    /// Where it is, as far as prices depend on it.
    pub(crate) place: Place,
    /// Its address, a place of business.
    pub(crate) address: PostalAddress,
}

impl InventoryClient {
    /// A client over a channel.
    pub(crate) fn new(channel: PeerChannel) -> Self {
        Self {
            locations: LocationServiceClient::new(channel),
        }
    }

    /// The location with this id; `None` when there is none.
    pub(crate) async fn location(&self, id: &LocationId) -> Result<Option<Location>, PeerError> {
        let request = GetLocationRequest {
            location_id: id.to_string(),
        };
        let found = match self.locations.clone().get_location(request).await {
            Ok(response) => response.into_inner().location,
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => return Err(status.into()),
        };
        Ok(found.map(|location| {
            let address = location.address.unwrap_or_default();
            let (lat, lon) = (location.latitude, location.longitude);
            // Zero, zero is the proto's way of saying nothing, and far out at sea.
            let is_known = lat != 0.0 || lon != 0.0;
            Location {
                name: location.name,
                place: Place {
                    country_code: address.country_code.clone(),
                    postal_code: address.postal_code.clone(),
                    point: is_known.then_some(Point { lat, lon }),
                },
                address,
            }
        }))
    }
}
