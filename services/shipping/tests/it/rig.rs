//! A running service with stub peers, and what tests do with it.

use std::time::Duration;

use oms_core::Clock;
use oms_proto::common::v1::{Destination, Dimensions, PostalAddress, ServiceLevel};
use oms_proto::events::v1::Event;
use oms_proto::events::v1::SubscribeRequest;
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_proto::fulfillment::v1 as fulfillment;
use oms_proto::inventory::v1::Location;
use oms_proto::shipping::v1 as pb;
use oms_proto::shipping::v1::rate_service_client::RateServiceClient;
use oms_proto::shipping::v1::shipment_service_client::ShipmentServiceClient;
use oms_proto::shipping::v1::tracking_service_client::TrackingServiceClient;
use oms_proto::time_to_proto;

use oms_service::{AnyProgram, Layers, PeerError, Runtime, ServiceHandle};
use oms_shipping::Shipping;
use oms_testkit::{MockClock, TestDb, wait_for};
use prost::Message;
use sqlx::PgConnection;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};
use uuid::Uuid;

use crate::peers::Peers;

pub(crate) const RECIPIENT: &str = "Philippa Quarrelsome";
pub(crate) const STREET: &str = "1280 Unforgettable Boulevard";
pub(crate) const LOCATION: &str = "us-east";
pub(crate) const CARRIER: &str = "table_rate";
/// Secrets that the carrier may sign with.
pub(crate) const CARRIER_SECRETS: [&str; 2] = [
    "whsec_bmV3IG5ldyBuZXcgbmV3IG5ldyBuZXcgbmV3IG5ldw==",
    "whsec_b2xkIG9sZCBvbGQgb2xkIG9sZCBvbGQgb2xkIG9sZA==",
];

pub(crate) struct Rig {
    pub(crate) shipments: ShipmentServiceClient<Channel>,
    pub(crate) rates: RateServiceClient<Channel>,
    pub(crate) tracking: TrackingServiceClient<Channel>,
    pub(crate) peers: Peers,
    pub(crate) clock: MockClock,
    pub(crate) db: TestDb,
    feed: EventFeedServiceClient<Channel>,
    service: ServiceHandle,
}

/// A new id.
#[expect(
    clippy::disallowed_methods,
    reason = "tests may take ids where they like"
)]
pub(crate) fn id() -> String {
    Uuid::now_v7().to_string()
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let db = TestDb::create("shipping", |url| async move {
            Shipping.migrate(&layers(&url, "127.0.0.1:1")).await
        })
        .await;
        let (peers, peers_addr) = Peers::start().await;
        let clock = MockClock::new();
        let clock_of_service = std::sync::Arc::new(clock.clone());
        let runtime = Runtime {
            clock: clock_of_service,
            ..Runtime::default()
        };
        let layers = layers(db.url(), &peers_addr.to_string());
        let service = Shipping.start(&layers, runtime).await.unwrap();
        let channel = Endpoint::from_shared(service.url()).unwrap().connect_lazy();
        let rig = Self {
            shipments: ShipmentServiceClient::new(channel.clone()),
            rates: RateServiceClient::new(channel.clone()),
            tracking: TrackingServiceClient::new(channel.clone()),
            feed: EventFeedServiceClient::new(channel),
            peers,
            clock,
            db,
            service,
        };
        rig.peers
            .locations
            .lock()
            .unwrap()
            .insert(LOCATION.to_owned(), warehouse());
        rig
    }

    /// Address of the service's port.
    pub(crate) fn url(&self) -> String {
        self.service.url()
    }

    pub(crate) async fn conn(&self) -> PgConnection {
        self.db.connect().await
    }

    /// An address that the order service knows.
    pub(crate) fn address(&self) -> String {
        let address_id = id();
        let address = PostalAddress {
            recipient: RECIPIENT.to_owned(),
            address_lines: vec![STREET.to_owned()],
            locality: "New York".to_owned(),
            administrative_area: "NY".to_owned(),
            postal_code: "10001".to_owned(),
            country_code: "US".to_owned(),
            phone: "+1 212 555 0199".to_owned(),
            email: "philippa@example.com".to_owned(),
        };
        self.peers
            .addresses
            .lock()
            .unwrap()
            .insert(address_id.clone(), address);
        address_id
    }

    /// A closed pack session as fulfillment tells it.
    pub(crate) fn packed(&self, packages: usize) -> fulfillment::FulfillmentOrderPacked {
        let package = |n: usize| fulfillment::PackedPackage {
            package_id: id(),
            package_number: i32::try_from(n).unwrap(),
            lines: vec![fulfillment::PackedLine {
                fulfillment_order_line_id: id(),
                order_line_id: id(),
                sku: format!("SKU-{n}"),
                name: "A thing".to_owned(),
                quantity: 2,
                reservation_id: id(),
                lot: String::new(),
            }],
            mass_grams: 1_200,
            dimensions: Some(Dimensions {
                length_mm: 300,
                width_mm: 200,
                height_mm: 100,
            }),
        };
        fulfillment::FulfillmentOrderPacked {
            fulfillment_order_id: id(),
            order_id: id(),
            order_number: "WEB-100042".to_owned(),
            location_id: LOCATION.to_owned(),
            pack_session_id: id(),
            packages: (1..=packages).map(package).collect(),
            destination: Some(Destination {
                address_id: self.address(),
                country_code: "US".to_owned(),
                postal_code: "10001".to_owned(),
            }),
            service_level: ServiceLevel::Ground.into(),
            channel_id: "web".to_owned(),
        }
    }

    /// Tells shipping that goods were packed.
    pub(crate) fn publish_packed(&self, packed: &fulfillment::FulfillmentOrderPacked) {
        let event = fulfillment::fulfillment_event::Event::FulfillmentOrderPacked(packed.clone());
        self.publish(
            "FulfillmentOrderPacked",
            &packed.fulfillment_order_id,
            event,
        );
    }

    pub(crate) fn publish(
        &self,
        kind: &str,
        aggregate_id: &str,
        event: fulfillment::fulfillment_event::Event,
    ) {
        self.peers.publish(Event {
            id: id(),
            source: "fulfillment".to_owned(),
            r#type: kind.to_owned(),
            aggregate_type: "fulfillment_order".to_owned(),
            aggregate_id: aggregate_id.to_owned(),
            aggregate_version: 1,
            occurred_at: Some(time_to_proto(self.clock.now())),
            actor: "user:packer".to_owned(),
            payload: fulfillment::FulfillmentEvent { event: Some(event) }.encode_to_vec(),
            ..Event::default()
        });
    }

    /// Waits until an order has one shipment in a state.
    pub(crate) async fn wait_for(&self, order_id: &str, state: pb::ShipmentState) -> pb::Shipment {
        wait_for(&format!("a shipment that is {state:?}"), || async {
            let listed = self.list(order_id).await;
            let found = listed.iter().find(|shipment| shipment.state() == state);
            found.cloned().ok_or_else(|| format!("{listed:?}"))
        })
        .await
    }

    pub(crate) async fn list(&self, order_id: &str) -> Vec<pb::Shipment> {
        let request = pb::ListShipmentsRequest {
            order_id: order_id.to_owned(),
            ..Default::default()
        };
        let mut client = self.shipments.clone();
        client
            .list_shipments(request)
            .await
            .unwrap()
            .into_inner()
            .shipments
    }

    /// A shipment of packed goods with labels.
    pub(crate) async fn labeled(&self, packages: usize) -> pb::Shipment {
        let packed = self.packed(packages);
        self.publish_packed(&packed);
        self.wait_for(&packed.order_id, pb::ShipmentState::Labeled)
            .await
    }

    pub(crate) async fn get(&self, shipment_id: &str) -> pb::Shipment {
        let request = pb::GetShipmentRequest {
            shipment_id: shipment_id.to_owned(),
        };
        let answer = self.shipments.clone().get_shipment(request).await;
        answer.unwrap().into_inner().shipment.unwrap()
    }

    pub(crate) async fn confirm_ship(&self, shipment_id: &str) -> Result<pb::Shipment, PeerError> {
        let request = pb::ConfirmShipRequest {
            request_id: id(),
            shipment_id: shipment_id.to_owned(),
            etag: String::new(),
        };
        let answer = self.shipments.clone().confirm_ship(request).await;
        Ok(ok(answer)?.shipment.unwrap())
    }

    pub(crate) async fn void_label(&self, shipment_id: &str) -> Result<pb::Shipment, PeerError> {
        let request = pb::VoidLabelRequest {
            request_id: id(),
            shipment_id: shipment_id.to_owned(),
            etag: String::new(),
        };
        Ok(ok(self.shipments.clone().void_label(request).await)?
            .shipment
            .unwrap())
    }

    pub(crate) async fn buy_label(&self, shipment_id: &str) -> Result<pb::Shipment, PeerError> {
        let request = pb::BuyLabelRequest {
            request_id: id(),
            shipment_id: shipment_id.to_owned(),
            ..Default::default()
        };
        Ok(ok(self.shipments.clone().buy_label(request).await)?
            .shipment
            .unwrap())
    }

    pub(crate) async fn cancel(&self, shipment_id: &str) -> Result<pb::Shipment, PeerError> {
        let request = pb::CancelShipmentRequest {
            request_id: id(),
            shipment_id: shipment_id.to_owned(),
            ..Default::default()
        };
        Ok(ok(self.shipments.clone().cancel_shipment(request).await)?
            .shipment
            .unwrap())
    }

    pub(crate) async fn document(
        &self,
        shipment_id: &str,
        format: oms_proto::common::v1::DocumentFormat,
    ) -> Result<oms_proto::common::v1::Document, PeerError> {
        let request = pb::GetLabelRequest {
            shipment_id: shipment_id.to_owned(),
            package_id: String::new(),
            format: format.into(),
        };
        Ok(ok(self.shipments.clone().get_label(request).await)?
            .document
            .unwrap())
    }

    /// Reports where a package is, so many minutes after the start of the clock.
    pub(crate) async fn scan(
        &self,
        tracking_number: &str,
        status: pb::TrackingStatus,
        minutes: u64,
    ) -> Result<pb::RecordTrackingEventResponse, PeerError> {
        let occurred_at = self.clock.now() + Duration::from_secs(60 * minutes);
        let request = pb::RecordTrackingEventRequest {
            request_id: id(),
            carrier_id: CARRIER.to_owned(),
            tracking_number: tracking_number.to_owned(),
            carrier_event_id: String::new(),
            status: status.into(),
            description: "scanned".to_owned(),
            occur_time: Some(time_to_proto(occurred_at)),
        };
        ok(self.tracking.clone().record_tracking_event(request).await)
    }

    /// Waits until the feed tells so many events of a shipment; their types in order.
    pub(crate) async fn events(&self, shipment_id: &str, count: usize) -> Vec<Event> {
        let request = SubscribeRequest {
            consumer: "test".to_owned(),
            ..Default::default()
        };
        let mut batches = self
            .feed
            .clone()
            .subscribe(request)
            .await
            .unwrap()
            .into_inner();
        let mut events: Vec<Event> = Vec::new();
        while events.len() < count {
            let batch = batches.message().await.unwrap().expect("the feed goes on");
            let of_shipment = |event: &Event| event.aggregate_id == shipment_id;
            events.extend(batch.events.into_iter().filter(of_shipment));
        }
        for (version, event) in (1..).zip(&events) {
            assert_eq!(event.aggregate_version, version);
        }
        events
    }
}

/// The types of events.
pub(crate) fn types(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.r#type.as_str()).collect()
}

/// An answer, or what the service said instead.
pub(crate) fn ok<T>(answer: Result<Response<T>, Status>) -> Result<T, PeerError> {
    answer.map(Response::into_inner).map_err(PeerError::from)
}

fn layers(database: &str, peers: &str) -> Layers {
    Layers::of_text(format!(
        r#"
        listen = "127.0.0.1:0"
        admin_listen = "127.0.0.1:0"
        insecure_dev = true
        [database]
        url = "{database}"
        [peers.order]
        url = "http://{peers}"
        [peers.inventory]
        url = "http://{peers}"
        [peers.fulfillment]
        url = "http://{peers}"
        [carriers]
        reconcile_ms = 20
        [carriers.table_rate]
        webhook_secrets = "{new} {old}"
        "#,
        new = CARRIER_SECRETS[0],
        old = CARRIER_SECRETS[1],
    ))
}

fn warehouse() -> Location {
    Location {
        location_id: LOCATION.to_owned(),
        name: "Columbus Distribution Center".to_owned(),
        address: Some(PostalAddress {
            recipient: "Receiving".to_owned(),
            address_lines: vec!["4300 Equity Drive".to_owned()],
            locality: "Columbus".to_owned(),
            administrative_area: "OH".to_owned(),
            postal_code: "43228".to_owned(),
            country_code: "US".to_owned(),
            ..Default::default()
        }),
        latitude: 39.98,
        longitude: -83.12,
        active: true,
        version: 1,
    }
}

/// A shipment of a return.
pub(crate) fn return_shipment(address_id: &str) -> pb::CreateShipmentRequest {
    pb::CreateShipmentRequest {
        request_id: id(),
        shipment_id: id(),
        order_id: id(),
        order_number: "WEB-100042".to_owned(),
        direction: pb::ShipmentDirection::Return.into(),
        return_id: id(),
        location_id: LOCATION.to_owned(),
        destination: Some(Destination {
            address_id: address_id.to_owned(),
            country_code: "US".to_owned(),
            postal_code: "10001".to_owned(),
        }),
        service_level: ServiceLevel::Ground.into(),
        packages: vec![pb::Package {
            package_number: 1,
            lines: vec![pb::PackageLine {
                order_line_id: id(),
                sku: "SKU-1".to_owned(),
                name: "A thing".to_owned(),
                quantity: 1,
                ..Default::default()
            }],
            mass_grams: 2_000,
            dimensions: Some(Dimensions {
                length_mm: 400,
                width_mm: 300,
                height_mm: 200,
            }),
            ..Default::default()
        }],
        ..Default::default()
    }
}
