//! A running service with stub peers, and what tests do with it.

use oms_core::Clock;
use oms_proto::common::v1::{Destination, Money};
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_proto::events::v1::{Event, SubscribeRequest};
use oms_proto::order::v1 as order;
use oms_proto::returns::v1 as pb;
use oms_proto::returns::v1::return_service_client::ReturnServiceClient;
use oms_proto::returns::v1::returns_event::Event as Fact;
use oms_proto::shipping::v1 as shipping;
use oms_proto::time_to_proto;
use oms_returns::Returns;
use oms_service::{AnyProgram, Layers, PeerError, Runtime, ServiceHandle};
use oms_testkit::{MockClock, TestDb, wait_for};
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::peers::{Orders, Shipments};

pub(crate) const LOCATION: &str = "reno";

pub(crate) struct Rig {
    pub(crate) returns: ReturnServiceClient<Channel>,
    pub(crate) orders: Orders,
    pub(crate) shipments: Shipments,
    pub(crate) clock: MockClock,
    pub(crate) db: TestDb,
    feed: EventFeedServiceClient<Channel>,
    _service: ServiceHandle,
}

pub(crate) type Answer = Result<pb::Return, PeerError>;

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

/// Calls an RPC that answers a return.
macro_rules! call {
    ($rig:expr, $rpc:ident, $request:expr) => {{
        let answer = $rig
            .returns
            .clone()
            .$rpc($crate::rig::by("user:ann", $request))
            .await;
        $crate::rig::ok(answer).map(|answer| answer.return_order.expect("a return is answered"))
    }};
}
pub(crate) use call;

impl Rig {
    pub(crate) async fn start() -> Self {
        let (orders, shipments) = (Orders::start().await, Shipments::start().await);
        let db = TestDb::create("returns", |url| async move {
            Returns
                .migrate(&layers(&url, "127.0.0.1:1", "127.0.0.1:1"))
                .await
        })
        .await;
        let clock = MockClock::new();
        let runtime = Runtime {
            clock: std::sync::Arc::new(clock.clone()),
            ..Runtime::default()
        };
        let peers = (orders.addr.to_string(), shipments.addr.to_string());
        let layers = layers(db.url(), &peers.0, &peers.1);
        let service = Returns.start(&layers, runtime).await.unwrap();
        let channel = Endpoint::from_shared(service.url()).unwrap().connect_lazy();
        Self {
            returns: ReturnServiceClient::new(channel.clone()),
            feed: EventFeedServiceClient::new(channel),
            orders,
            shipments,
            clock,
            db,
            _service: service,
        }
    }

    /// An order that the order service knows, with so many units of each line shipped.
    pub(crate) fn shipped(&self, units: &[i64]) -> order::Order {
        let line = |(index, shipped): (usize, &i64)| order::OrderLine {
            order_line_id: id(),
            sku: format!("SKU-{index}"),
            name: format!("Chair {index}"),
            ordered: *shipped + 1,
            shipped: *shipped,
            ..Default::default()
        };
        let order = order::Order {
            order_id: id(),
            order_number: "WEB-100042".to_owned(),
            channel_id: "web".to_owned(),
            lines: units.iter().enumerate().map(line).collect(),
            totals: Some(order::OrderTotals {
                total: Some(usd(10_000)),
                ..Default::default()
            }),
            destination: Some(Destination {
                address_id: id(),
                country_code: "US".to_owned(),
                postal_code: "42420".to_owned(),
            }),
            ..Default::default()
        };
        let mut known = self.orders.known.lock().unwrap();
        known.insert(order.order_id.clone(), order.clone());
        order
    }

    /// Asks for a return of units of the lines of an order, in their order.
    pub(crate) async fn request(
        &self,
        order: &order::Order,
        units: &[i64],
        timing: pb::RefundTiming,
    ) -> Answer {
        call!(self, request_return, new_return(order, units, timing))
    }

    /// An authorized return of units of an order that shipped just those.
    pub(crate) async fn authorized(&self, units: &[i64], timing: pb::RefundTiming) -> pb::Return {
        let order = self.shipped(units);
        let ret = self.request(&order, units, timing).await.unwrap();
        self.authorize(&ret).await.unwrap()
    }

    pub(crate) async fn authorize(&self, ret: &pb::Return) -> Answer {
        let request = pb::AuthorizeReturnRequest {
            request_id: id(),
            return_id: ret.return_id.clone(),
            etag: String::new(),
        };
        call!(self, authorize_return, request)
    }

    pub(crate) async fn decline(&self, ret: &pb::Return) -> Answer {
        let request = pb::DeclineReturnRequest {
            request_id: id(),
            return_id: ret.return_id.clone(),
            reason: "too late".to_owned(),
            etag: String::new(),
        };
        call!(self, decline_return, request)
    }

    pub(crate) async fn cancel(&self, ret: &pb::Return) -> Answer {
        let request = pb::CancelReturnRequest {
            request_id: id(),
            return_id: ret.return_id.clone(),
            ..Default::default()
        };
        call!(self, cancel_return, request)
    }

    pub(crate) async fn label(&self, ret: &pb::Return) -> Answer {
        let request = pb::IssueReturnLabelRequest {
            request_id: id(),
            return_id: ret.return_id.clone(),
            etag: String::new(),
        };
        call!(self, issue_return_label, request)
    }

    /// Receives units of the lines of a return, in their order; lines with 0 units are left out.
    pub(crate) async fn receive(&self, ret: &pb::Return, units: &[i64]) -> Answer {
        let lines = parts(ret, units).map(|(return_line_id, quantity)| pb::ReturnQuantity {
            return_line_id,
            quantity,
        });
        let request = pb::ReceiveReturnRequest {
            request_id: id(),
            return_id: ret.return_id.clone(),
            etag: String::new(),
            lines: lines.collect(),
        };
        call!(self, receive_return, request)
    }

    pub(crate) async fn inspect(
        &self,
        ret: &pb::Return,
        units: &[i64],
        condition: pb::ReturnCondition,
        refund_denied: bool,
    ) -> Answer {
        let lines = parts(ret, units).map(|(return_line_id, quantity)| pb::InspectReturnLine {
            return_line_id,
            quantity,
            condition: condition.into(),
            refund_denied,
        });
        let request = pb::InspectReturnRequest {
            request_id: id(),
            return_id: ret.return_id.clone(),
            etag: String::new(),
            lines: lines.collect(),
        };
        call!(self, inspect_return, request)
    }

    pub(crate) async fn dispose(
        &self,
        ret: &pb::Return,
        units: &[i64],
        disposition: pb::Disposition,
    ) -> Answer {
        let lines = parts(ret, units).map(|(return_line_id, quantity)| pb::DisposeReturnLine {
            return_line_id,
            quantity,
            disposition: disposition.into(),
        });
        let request = pb::DisposeReturnRequest {
            request_id: id(),
            return_id: ret.return_id.clone(),
            etag: String::new(),
            lines: lines.collect(),
        };
        call!(self, dispose_return, request)
    }

    pub(crate) async fn get(&self, return_id: &str) -> pb::Return {
        let request = pb::GetReturnRequest {
            return_id: return_id.to_owned(),
        };
        call!(self, get_return, request).unwrap()
    }

    /// Waits until a return is in a state.
    pub(crate) async fn wait(&self, ret: &pb::Return, state: pb::ReturnState) -> pb::Return {
        wait_for(&format!("the return to be {state:?}"), || async {
            let found = self.get(&ret.return_id).await;
            if found.state() == state {
                Ok(found)
            } else {
                Err(format!("{found:?}"))
            }
        })
        .await
    }

    /// The carrier scans the package of a return.
    pub(crate) fn scan(&self, ret: &pb::Return, status: shipping::TrackingStatus) {
        let tracked = shipping::PackageTracked {
            return_id: ret.return_id.clone(),
            order_id: ret.order_id.clone(),
            event: Some(shipping::TrackingEvent {
                status: status.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let event = shipping::shipping_event::Event::PackageTracked(tracked);
        let payload = shipping::ShippingEvent { event: Some(event) };
        self.shipments.feed.publish(Event {
            source: "shipping".to_owned(),
            r#type: "PackageTracked".to_owned(),
            aggregate_type: "shipment".to_owned(),
            actor: "service:table_rate".to_owned(),
            payload: payload.encode_to_vec(),
            ..self.event(&ret.shipment_id)
        });
    }

    /// The order service has paid a refund.
    pub(crate) fn pay(&self, refund: &pb::ReturnRefundTriggered, minor: i64) {
        let line = |part: &pb::ReturnedUnits| order::InvoiceLine {
            order_line_id: part.order_line_id.clone(),
            quantity: part.quantity,
            ..Default::default()
        };
        let paid = order::ReturnRefunded {
            order_id: refund.order_id.clone(),
            return_id: refund.return_id.clone(),
            refund_id: refund.refund_id.clone(),
            amount: Some(usd(minor)),
            lines: refund.lines.iter().map(line).collect(),
        };
        let event = order::order_event::Event::ReturnRefunded(paid);
        let payload = order::OrderEvent { event: Some(event) };
        self.orders.feed.publish(Event {
            source: "order".to_owned(),
            r#type: "ReturnRefunded".to_owned(),
            aggregate_type: "order".to_owned(),
            actor: "service:order".to_owned(),
            payload: payload.encode_to_vec(),
            ..self.event(&refund.order_id)
        });
    }

    fn event(&self, aggregate_id: &str) -> Event {
        Event {
            id: id(),
            aggregate_id: aggregate_id.to_owned(),
            aggregate_version: 1,
            occurred_at: Some(time_to_proto(self.clock.now())),
            ..Default::default()
        }
    }

    /// Waits until the feed tells so many events of a return: contiguous from its first one.
    pub(crate) async fn events(&self, ret: &pb::Return, count: usize) -> Vec<(Event, Fact)> {
        let request = SubscribeRequest {
            consumer: "test".to_owned(),
            ..Default::default()
        };
        let mut client = self.feed.clone();
        let mut batches = client.subscribe(request).await.unwrap().into_inner();
        let mut events: Vec<Event> = Vec::new();
        while events.len() < count {
            let batch = batches.message().await.unwrap().expect("the feed goes on");
            let of_return = |event: &Event| event.aggregate_id == ret.return_id;
            events.extend(batch.events.into_iter().filter(of_return));
        }
        for (version, event) in (1..).zip(&events) {
            assert_eq!(event.aggregate_version, version);
        }
        let fact = |event: Event| {
            let payload = pb::ReturnsEvent::decode(event.payload.as_slice()).unwrap();
            (event, payload.event.unwrap())
        };
        events.into_iter().map(fact).collect()
    }

    /// The refunds among so many events of a return.
    pub(crate) async fn refunds(
        &self,
        ret: &pb::Return,
        count: usize,
    ) -> Vec<pb::ReturnRefundTriggered> {
        let events = self.events(ret, count).await;
        let refund = |(_, fact): (Event, Fact)| match fact {
            Fact::ReturnRefundTriggered(refund) => Some(refund),
            _ => None,
        };
        events.into_iter().filter_map(refund).collect()
    }

    /// Number of events that were ever told, relayed or not.
    pub(crate) async fn told(&self) -> i64 {
        let query = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM feed)";
        sqlx::query_scalar(query)
            .fetch_one(&mut self.db.connect().await)
            .await
            .unwrap()
    }

    /// Number of rows of a table.
    pub(crate) async fn rows(&self, table: &str) -> i64 {
        let query = format!("SELECT count(*) FROM {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&mut self.db.connect().await)
            .await
            .unwrap()
    }
}

/// Types of events; of a state change, what was done.
pub(crate) fn told(events: &[(Event, Fact)]) -> Vec<&str> {
    events
        .iter()
        .map(|(event, fact)| match fact {
            Fact::ReturnStateChanged(changed) => changed.action.as_str(),
            _ => event.r#type.as_str(),
        })
        .collect()
}

/// Dollars and cents.
pub(crate) fn usd(minor_units: i64) -> Money {
    Money {
        currency_code: "USD".to_owned(),
        minor_units,
    }
}

/// A request for a return of units of the lines of an order, in their order; 0 leaves a line out.
pub(crate) fn new_return(
    order: &order::Order,
    units: &[i64],
    timing: pb::RefundTiming,
) -> pb::RequestReturnRequest {
    let lines = order.lines.iter().zip(units);
    let line = |(line, quantity): (&order::OrderLine, &i64)| pb::RequestReturnLine {
        order_line_id: line.order_line_id.clone(),
        quantity: *quantity,
        reason: "UNWANTED".to_owned(),
    };
    pb::RequestReturnRequest {
        request_id: id(),
        order_id: order.order_id.clone(),
        lines: lines.filter(|(_, units)| **units != 0).map(line).collect(),
        refund_timing: timing.into(),
        location_id: LOCATION.to_owned(),
    }
}

fn parts<'a>(ret: &'a pb::Return, units: &'a [i64]) -> impl Iterator<Item = (String, i64)> + 'a {
    let all = ret.lines.iter().zip(units);
    all.filter(|(_, units)| **units != 0)
        .map(|(line, units)| (line.return_line_id.clone(), *units))
}

fn layers(database: &str, order: &str, shipping: &str) -> Layers {
    Layers::of_text(format!(
        r#"
        listen = "127.0.0.1:0"
        admin_listen = "127.0.0.1:0"
        insecure_dev = true
        [database]
        url = "{database}"
        [peers.order]
        url = "http://{order}"
        [peers.shipping]
        url = "http://{shipping}"
        "#
    ))
}
