//! A running service with stub peers, and what tests do with it.

use std::net::SocketAddr;
use std::sync::Arc;

use oms_core::Clock;
use oms_fulfillment::Fulfillment;
use oms_proto::common::v1::{Destination, Dimensions, FillPolicy, PostalAddress, ServiceLevel};
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_proto::events::v1::{Event, SubscribeRequest};
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::document_service_client::DocumentServiceClient;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fact;
use oms_proto::fulfillment::v1::fulfillment_order_service_client::FulfillmentOrderServiceClient;
use oms_proto::fulfillment::v1::packing_service_client::PackingServiceClient;
use oms_proto::fulfillment::v1::picking_service_client::PickingServiceClient;
use oms_proto::fulfillment::v1::sourcing_service_client::SourcingServiceClient;
use oms_proto::fulfillment::v1::wave_service_client::WaveServiceClient;
use oms_proto::inventory::v1 as inv;
use oms_proto::shipping::v1 as ship;
use oms_proto::time_to_proto;
use oms_service::{AnyProgram, Layers, PeerError, Program, Runtime, ServiceHandle};
use oms_testkit::{MockClock, TestDb, template_key, wait_for};
use prost::Message as _;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::peers::Peers;

pub(crate) const WEST: &str = "reno";
pub(crate) const MID: &str = "dallas";
pub(crate) const EAST: &str = "newark";
pub(crate) const RECIPIENT: &str = "Philippa Quarrelsome";
pub(crate) const STREET: &str = "1280 Unforgettable Boulevard";

pub(crate) struct Rig {
    pub(crate) sourcing: SourcingServiceClient<Channel>,
    pub(crate) orders: FulfillmentOrderServiceClient<Channel>,
    pub(crate) waves: WaveServiceClient<Channel>,
    pub(crate) picking: PickingServiceClient<Channel>,
    pub(crate) packing: PackingServiceClient<Channel>,
    pub(crate) documents: DocumentServiceClient<Channel>,
    pub(crate) peers: Peers,
    pub(crate) clock: MockClock,
    pub(crate) db: TestDb,
    feed: EventFeedServiceClient<Channel>,
    service: ServiceHandle,
    peers_addr: SocketAddr,
}

/// A new id.
#[expect(
    clippy::disallowed_methods,
    reason = "tests may take ids where they like"
)]
pub(crate) fn id() -> String {
    Uuid::now_v7().to_string()
}

/// A request of somebody.
pub(crate) fn by<T>(who: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("oms-principal", who.parse().unwrap());
    request
}

/// An answer, or what the service said instead.
pub(crate) fn ok<T>(answer: Result<Response<T>, Status>) -> Result<T, PeerError> {
    answer.map(Response::into_inner).map_err(PeerError::from)
}

/// The code that scans as an item.
pub(crate) fn code(sku: &str) -> String {
    format!("0-{sku}")
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let key = template_key("fulfillment", &[<Fulfillment as Program>::migrations()]);
        let db = TestDb::create(&key, |url| async move {
            Fulfillment.migrate(&layers(&url, "127.0.0.1:1")).await
        })
        .await;
        let (peers, peers_addr) = Peers::start().await;
        furnish(&peers);
        Self::serve(db, peers, peers_addr, MockClock::new()).await
    }

    async fn serve(db: TestDb, peers: Peers, peers_addr: SocketAddr, clock: MockClock) -> Self {
        let runtime = Runtime {
            clock: Arc::new(clock.clone()),
            ..Runtime::default()
        };
        let layers = layers(db.url(), &peers_addr.to_string());
        let service = Fulfillment.start(&layers, runtime).await.unwrap();
        let channel = Endpoint::from_shared(service.url()).unwrap().connect_lazy();
        Self {
            sourcing: SourcingServiceClient::new(channel.clone()),
            orders: FulfillmentOrderServiceClient::new(channel.clone()),
            waves: WaveServiceClient::new(channel.clone()),
            picking: PickingServiceClient::new(channel.clone()),
            packing: PackingServiceClient::new(channel.clone()),
            documents: DocumentServiceClient::new(channel.clone()),
            feed: EventFeedServiceClient::new(channel),
            peers,
            clock,
            db,
            service,
            peers_addr,
        }
    }

    /// Ends the service as a crash would, and starts it again.
    pub(crate) async fn crash(self) -> Self {
        self.service.kill().await;
        Self::serve(self.db, self.peers, self.peers_addr, self.clock).await
    }

    /// Free units of a SKU at a location.
    pub(crate) fn stock(&self, sku: &str, location: &str, units: i64) {
        let key = (sku.to_owned(), location.to_owned());
        self.peers.world.lock().unwrap().free.insert(key, units);
    }

    pub(crate) async fn create(
        &self,
        request: pb::CreateFulfillmentOrdersRequest,
    ) -> Result<Vec<pb::FulfillmentOrder>, PeerError> {
        let request = by("service:order", request);
        Ok(ok(self.orders.clone().create_fulfillment_orders(request).await)?.fulfillment_orders)
    }

    /// One fulfillment order with these SKUs and units at the western location.
    pub(crate) async fn order(&self, lines: &[(&str, i64)]) -> pb::FulfillmentOrder {
        let lines: Vec<_> = lines
            .iter()
            .map(|(sku, units)| (*sku, WEST, *units))
            .collect();
        self.create(allocated(&lines)).await.unwrap().remove(0)
    }

    pub(crate) async fn get(&self, order_id: &str) -> pb::FulfillmentOrder {
        let request = pb::GetFulfillmentOrderRequest {
            fulfillment_order_id: order_id.to_owned(),
        };
        let answer = self.orders.clone().get_fulfillment_order(request).await;
        answer.unwrap().into_inner().fulfillment_order.unwrap()
    }

    pub(crate) async fn of_order(&self, order_id: &str) -> Vec<pb::FulfillmentOrder> {
        let request = pb::ListFulfillmentOrdersRequest {
            order_id: order_id.to_owned(),
            ..Default::default()
        };
        let answer = self.orders.clone().list_fulfillment_orders(request).await;
        answer.unwrap().into_inner().fulfillment_orders
    }

    pub(crate) async fn wave(&self, location: &str, method: pb::PickMethod) -> pb::Wave {
        let request = pb::CreateWaveRequest {
            request_id: id(),
            location_id: location.to_owned(),
            method: method.into(),
            ..Default::default()
        };
        let answer = self.waves.clone().create_wave(request).await;
        answer.unwrap().into_inner().wave.unwrap()
    }

    pub(crate) async fn pick_list(&self, pick_list_id: &str) -> pb::PickList {
        let request = pb::GetPickListRequest {
            pick_list_id: pick_list_id.to_owned(),
        };
        let answer = self.picking.clone().get_pick_list(request).await;
        answer.unwrap().into_inner().pick_list.unwrap()
    }

    /// The pick list of a wave of everything that waits in the west.
    pub(crate) async fn released(&self) -> pb::PickList {
        let wave = self.wave(WEST, pb::PickMethod::Single).await;
        self.pick_list(&wave.pick_list_ids[0]).await
    }

    pub(crate) async fn scan(
        &self,
        pick_list_id: &str,
        barcode: &str,
        quantity: i64,
    ) -> Result<pb::PickList, PeerError> {
        let request = pb::ScanPickRequest {
            request_id: id(),
            pick_list_id: pick_list_id.to_owned(),
            pick_line_id: String::new(),
            barcode: barcode.to_owned(),
            quantity,
        };
        let answer = self
            .picking
            .clone()
            .scan_pick(by("user:ann", request))
            .await;
        Ok(ok(answer)?.pick_list.unwrap())
    }

    pub(crate) async fn short(
        &self,
        list: &pb::PickList,
        line: usize,
        quantity: i64,
    ) -> Result<pb::PickList, PeerError> {
        let request = pb::ReportShortPickRequest {
            request_id: id(),
            pick_list_id: list.pick_list_id.clone(),
            pick_line_id: list.lines[line].pick_line_id.clone(),
            quantity,
            reason: "NOT_FOUND".to_owned(),
        };
        let answer = self
            .picking
            .clone()
            .report_short_pick(by("user:ann", request))
            .await;
        Ok(ok(answer)?.pick_list.unwrap())
    }

    /// One fulfillment order, everything picked.
    pub(crate) async fn picked(&self, lines: &[(&str, i64)]) -> pb::FulfillmentOrder {
        let order = self.order(lines).await;
        let list = self.released().await;
        for line in &list.lines {
            self.scan(&list.pick_list_id, &code(&line.sku), line.quantity)
                .await
                .unwrap();
        }
        self.get(&order.fulfillment_order_id).await
    }

    pub(crate) async fn open(&self, order_id: &str) -> Result<pb::PackSession, PeerError> {
        let request = pb::OpenPackSessionRequest {
            request_id: id(),
            fulfillment_order_id: order_id.to_owned(),
        };
        let answer = self
            .packing
            .clone()
            .open_pack_session(by("user:bob", request))
            .await;
        Ok(ok(answer)?.pack_session.unwrap())
    }

    pub(crate) async fn pack(
        &self,
        session_id: &str,
        package_number: i32,
        barcode: &str,
        quantity: i64,
    ) -> Result<pb::PackSession, PeerError> {
        let request = pb::ScanPackRequest {
            request_id: id(),
            pack_session_id: session_id.to_owned(),
            package_number,
            barcode: barcode.to_owned(),
            quantity,
        };
        let answer = self
            .packing
            .clone()
            .scan_pack(by("user:bob", request))
            .await;
        Ok(ok(answer)?.pack_session.unwrap())
    }

    pub(crate) async fn measure(
        &self,
        session_id: &str,
        package_number: i32,
    ) -> Result<pb::PackSession, PeerError> {
        let request = pb::MeasurePackageRequest {
            request_id: id(),
            pack_session_id: session_id.to_owned(),
            package_number,
            mass_grams: 1_250,
            dimensions: Some(Dimensions {
                length_mm: 300,
                width_mm: 200,
                height_mm: 100,
            }),
        };
        Ok(ok(self.packing.clone().measure_package(request).await)?
            .pack_session
            .unwrap())
    }

    pub(crate) async fn close(&self, session_id: &str) -> Result<pb::PackSession, PeerError> {
        let request = pb::ClosePackSessionRequest {
            request_id: id(),
            pack_session_id: session_id.to_owned(),
            etag: String::new(),
        };
        let answer = self
            .packing
            .clone()
            .close_pack_session(by("user:bob", request))
            .await;
        Ok(ok(answer)?.pack_session.unwrap())
    }

    /// A closed session of one package with these units.
    pub(crate) async fn packed(&self, order_id: &str, units: &[(&str, i64)]) -> pb::PackSession {
        let session = self.open(order_id).await.unwrap();
        for (sku, quantity) in units {
            self.pack(&session.pack_session_id, 1, &code(sku), *quantity)
                .await
                .unwrap();
        }
        self.measure(&session.pack_session_id, 1).await.unwrap();
        self.close(&session.pack_session_id).await.unwrap()
    }

    /// The shipment that shipping makes of a closed session.
    pub(crate) fn shipment(
        order: &pb::FulfillmentOrder,
        session: &pb::PackSession,
    ) -> ship::Shipment {
        let package = |package: &pb::PackedPackage| ship::Package {
            package_id: package.package_id.clone(),
            package_number: package.package_number,
            lines: package
                .lines
                .iter()
                .map(|line| ship::PackageLine {
                    order_line_id: line.order_line_id.clone(),
                    sku: line.sku.clone(),
                    quantity: line.quantity,
                    fulfillment_order_line_id: line.fulfillment_order_line_id.clone(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        ship::Shipment {
            shipment_id: id(),
            order_id: order.order_id.clone(),
            fulfillment_order_id: order.fulfillment_order_id.clone(),
            pack_session_id: session.pack_session_id.clone(),
            direction: ship::ShipmentDirection::Outbound.into(),
            packages: session.packages.iter().map(package).collect(),
            ..Default::default()
        }
    }

    /// Tells that a shipment left.
    pub(crate) fn publish_shipped(&self, shipment: &ship::Shipment) {
        let fact = ship::shipping_event::Event::ShipmentShipped(ship::ShipmentShipped {
            shipment: Some(shipment.clone()),
        });
        self.peers.publish(Event {
            id: id(),
            source: "shipping".to_owned(),
            r#type: "ShipmentShipped".to_owned(),
            aggregate_type: "shipment".to_owned(),
            aggregate_id: shipment.shipment_id.clone(),
            aggregate_version: 1,
            occurred_at: Some(time_to_proto(self.clock.now())),
            actor: "user:dock".to_owned(),
            payload: ship::ShippingEvent { event: Some(fact) }.encode_to_vec(),
            ..Default::default()
        });
    }

    /// Waits until a fulfillment order looks as it should.
    pub(crate) async fn until(
        &self,
        order_id: &str,
        what: &str,
        check: impl Fn(&pb::FulfillmentOrder) -> bool,
    ) -> pb::FulfillmentOrder {
        wait_for(what, || async {
            let order = self.get(order_id).await;
            if check(&order) {
                Ok(order)
            } else {
                Err(format!("{order:?}"))
            }
        })
        .await
    }

    /// Waits until the feed tells so many events of a fulfillment order; their versions are dense.
    pub(crate) async fn events(&self, order_id: &str, count: usize) -> Vec<(Event, Fact)> {
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
        let mut events = Vec::new();
        while events.len() < count {
            let batch = batches.message().await.unwrap().expect("the feed goes on");
            for event in batch
                .events
                .into_iter()
                .filter(|event| event.aggregate_id == order_id)
            {
                let payload = pb::FulfillmentEvent::decode(event.payload.as_slice()).unwrap();
                events.push((event, payload.event.unwrap()));
            }
        }
        for (version, (event, _)) in (1..).zip(&events) {
            assert_eq!(event.aggregate_version, version);
        }
        events
    }
}

/// The types of events.
pub(crate) fn types(events: &[(Event, Fact)]) -> Vec<&str> {
    events
        .iter()
        .map(|(event, _)| event.r#type.as_str())
        .collect()
}

/// A request to create fulfillment orders for (SKU, location, units).
pub(crate) fn allocated(lines: &[(&str, &str, i64)]) -> pb::CreateFulfillmentOrdersRequest {
    let reservation_id = id();
    let line = |(sku, location, units): &(&str, &str, i64)| pb::AllocatedLine {
        order_line_id: id(),
        sku: (*sku).to_owned(),
        location_id: (*location).to_owned(),
        lot: String::new(),
        quantity: *units,
        reservation_id: reservation_id.clone(),
    };
    pb::CreateFulfillmentOrdersRequest {
        request_id: id(),
        order_id: id(),
        order_number: "WEB-100042".to_owned(),
        channel_id: "web".to_owned(),
        proposal_id: String::new(),
        lines: lines.iter().map(line).collect(),
        destination: Some(destination("89101")),
        service_level: ServiceLevel::TwoDay.into(),
        priority: 5,
        instructions: "Handle with care".to_owned(),
        fill_policy: FillPolicy::FillAll.into(),
    }
}

pub(crate) fn destination(postal_code: &str) -> Destination {
    Destination {
        address_id: id(),
        country_code: "US".to_owned(),
        postal_code: postal_code.to_owned(),
    }
}

fn furnish(peers: &Peers) {
    let mut world = peers.world.lock().unwrap();
    for sku in ["A", "B", "C"] {
        let item = inv::Item {
            sku: sku.to_owned(),
            name: format!("Thing {sku}"),
            barcodes: vec![code(sku), format!("1-{sku}")],
            dimensions: Some(Dimensions {
                length_mm: 100,
                width_mm: 80,
                height_mm: 60,
            }),
            mass_grams: 400,
            active: true,
            version: 7,
            ..Default::default()
        };
        world.items.insert(sku.to_owned(), item);
    }
    for (location_id, latitude, longitude) in [
        (MID, 32.78, -96.80),
        (EAST, 40.74, -74.17),
        (WEST, 39.53, -119.81),
    ] {
        world.locations.push(inv::Location {
            location_id: location_id.to_owned(),
            name: location_id.to_owned(),
            latitude,
            longitude,
            active: true,
            version: 3,
            ..Default::default()
        });
    }
    world.address = Some(PostalAddress {
        recipient: RECIPIENT.to_owned(),
        address_lines: vec![STREET.to_owned()],
        locality: "Las Vegas".to_owned(),
        administrative_area: "NV".to_owned(),
        postal_code: "89101".to_owned(),
        country_code: "US".to_owned(),
        ..Default::default()
    });
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
        [peers.shipping]
        url = "http://{peers}"
        "#
    ))
}
