//! The shipping service: return shipments and their labels.

use oms_core::{ShipmentId, derive};
use oms_proto::common::v1::{Destination, Dimensions, ServiceLevel};
use oms_proto::shipping::v1::shipment_service_client::ShipmentServiceClient;
use oms_proto::shipping::v1::{
    BuyLabelRequest, CreateShipmentRequest, Package, PackageLine, Shipment, ShipmentDirection,
};
use oms_service::{PeerChannel, PeerError};
use tonic::Status;

use crate::config::Policy;
use crate::domain::returns::Return;
use crate::error::Error;

/// Name of the peer.
const PEER: &str = "shipping";

/// Calls of the shipping service.
#[derive(Clone)]
pub(crate) struct ShippingClient {
    shipments: ShipmentServiceClient<PeerChannel>,
}

impl ShippingClient {
    /// A client over a channel.
    pub(crate) fn new(channel: PeerChannel) -> Self {
        Self {
            shipments: ShipmentServiceClient::new(channel),
        }
    }

    /// Makes the shipment of a return, buys its label and answers the tracking number. Ids are derived from the
    /// return, so a repeat is answered from what the first call did.
    pub(crate) async fn buy_return_label(
        &self,
        ret: &Return,
        shipment_id: ShipmentId,
        policy: &Policy,
    ) -> Result<String, Error> {
        let mut client = self.shipments.clone();
        client
            .create_shipment(shipment(ret, shipment_id, policy))
            .await
            .map_err(refused)?;
        let request = BuyLabelRequest {
            request_id: derive(shipment_id.uuid(), "buy_label").to_string(),
            shipment_id: shipment_id.to_string(),
            ..Default::default()
        };
        let answer = client
            .buy_label(request)
            .await
            .map_err(refused)?
            .into_inner();
        tracking_number(answer.shipment)
    }
}

/// The number of the first package. A label that the carrier has not answered for yet has none: try again later.
fn tracking_number(shipment: Option<Shipment>) -> Result<String, Error> {
    let packages = shipment
        .map(|shipment| shipment.packages)
        .unwrap_or_default();
    packages
        .into_iter()
        .map(|package| package.tracking_number)
        .find(|number| !number.is_empty())
        .ok_or_else(|| refused(Status::unavailable("the label is not bought yet")))
}

fn refused(status: Status) -> Error {
    Error::Peer {
        peer: PEER,
        error: PeerError::from(status),
    }
}

fn shipment(ret: &Return, shipment_id: ShipmentId, policy: &Policy) -> CreateShipmentRequest {
    CreateShipmentRequest {
        request_id: derive(shipment_id.uuid(), "create_shipment").to_string(),
        shipment_id: shipment_id.to_string(),
        order_id: ret.order_id.to_string(),
        order_number: ret.order_number.clone(),
        direction: ShipmentDirection::Return.into(),
        return_id: ret.return_id.to_string(),
        location_id: ret.location_id.to_string(),
        destination: Some(Destination {
            address_id: ret.origin_address_id.clone(),
            country_code: ret.origin_country_code.clone(),
            postal_code: ret.origin_postal_code.clone(),
        }),
        service_level: ServiceLevel::Ground.into(),
        packages: vec![package(ret, policy)],
        channel_id: ret.channel_id.clone(),
        ..Default::default()
    }
}

/// One package for everything; what the customer uses for it is not known, so the policy's estimate is taken.
fn package(ret: &Return, policy: &Policy) -> Package {
    let [length_mm, width_mm, height_mm] = policy.package_dimensions_mm;
    let lines = ret.lines.iter().map(|line| PackageLine {
        order_line_id: line.order_line_id.to_string(),
        sku: line.sku.clone(),
        name: line.name.clone(),
        quantity: line.advised,
        ..Default::default()
    });
    Package {
        package_number: 1,
        lines: lines.collect(),
        mass_grams: policy.package_mass_grams,
        dimensions: Some(Dimensions {
            length_mm,
            width_mm,
            height_mm,
        }),
        ..Default::default()
    }
}
