//! A running probe on a database of its own, and short words for what tests do often.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use oms_postgres::outbox::{self, Attributes, NewEvent};
use oms_postgres::{Db, DbConfig, migrate_url};
use oms_proto::order::v1::hold_service_client::HoldServiceClient;
use oms_proto::order::v1::{PlaceHoldRequest, PlaceHoldResponse};
use oms_service::{
    AnyProgram, Layers, PeerChannel, PeerConfig, PeerError, Runtime, ServiceHandle, StartError,
    client,
};
use oms_testkit::{MockClock, SeqIds, TestDb, template_key};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Request;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt;
use uuid::Uuid;

use crate::probe::{MIGRATOR, Probe};

pub(crate) const PLACE_HOLD: &str = "/oms.order.v1.HoldService/PlaceHold";

/// A migrated database.
pub(crate) async fn database() -> TestDb {
    let key = template_key("probe", &[&oms_postgres::MIGRATOR, &MIGRATOR]);
    TestDb::create(
        &key,
        |url| async move { migrate_url(&url, &MIGRATOR).await },
    )
    .await
}

pub(crate) async fn connect(database: &TestDb) -> Db {
    let config = DbConfig::new(database.url(), "test");
    Db::connect(&config, Arc::new(MockClock::new()))
        .await
        .unwrap()
}

/// A running probe.
pub(crate) struct Fixture {
    pub(crate) database: TestDb,
    pub(crate) handle: ServiceHandle,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    /// With more configuration.
    pub(crate) async fn with(toml: &str) -> Self {
        let database = database().await;
        let handle = start(&database, toml).await.unwrap();
        Self { database, handle }
    }

    pub(crate) fn channel(&self) -> Channel {
        Endpoint::from_shared(self.handle.url())
            .unwrap()
            .connect_lazy()
    }

    pub(crate) fn peer_channel(&self) -> PeerChannel {
        client::connect("order", &PeerConfig::new(self.handle.url()), "returns").unwrap()
    }

    /// Calls PlaceHold, which does what it is told.
    pub(crate) async fn call(&self, what: &str) -> Result<String, PeerError> {
        call(self.channel(), what).await
    }

    /// Sends these bytes as the body of a gRPC call; answers the headers, or the trailers when those
    /// hold the status.
    pub(crate) async fn raw(&self, path: &str, body: Bytes) -> HeaderMap {
        let request = http::Request::post(format!("{}{path}", self.handle.url()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Body::new(Full::new(body)))
            .unwrap();
        let response = self.channel().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        if head.headers.contains_key("grpc-status") {
            return head.headers;
        }
        body.collect().await.unwrap().trailers().cloned().unwrap()
    }

    /// The failure that [`Fixture::raw`] answers.
    pub(crate) async fn raw_error(&self, path: &str, body: Bytes) -> PeerError {
        let headers = self.raw(path, body).await;
        PeerError::from(tonic::Status::from_header_map(&headers).unwrap())
    }

    pub(crate) async fn metrics(&self) -> String {
        http(self.handle.admin_addr, "GET /metrics HTTP/1.1", "", b"").await
    }

    /// Commits events of the aggregates, each with its version; the relay then moves them.
    pub(crate) async fn publish(&self, events: &[(&str, i64)]) {
        let db = connect(&self.database).await;
        let events: Vec<_> = events
            .iter()
            .map(|(id, version)| event(&db, id, *version))
            .collect();
        let events = &events;
        db.run_tx("publish", |tx| {
            Box::pin(async move { outbox::append_all(tx, events).await })
        })
        .await
        .unwrap();
        db.close().await;
    }
}

pub(crate) fn event(db: &Db, aggregate_id: &str, version: i64) -> NewEvent {
    let name = format!("{aggregate_id}/{version}");
    NewEvent {
        event_id: oms_core::derive(Uuid::NAMESPACE_OID, &name),
        aggregate_type: "order",
        aggregate_id: aggregate_id.to_owned(),
        aggregate_version: version,
        event_type: "OrderPlaced",
        payload: name.into_bytes(),
        actor: "user:alice".to_owned(),
        occurred_at: db.clock().now(),
        attributes: Attributes::default(),
    }
}

/// Starts the probe on this database.
pub(crate) async fn start(database: &TestDb, toml: &str) -> Result<ServiceHandle, StartError> {
    start_with(database, toml, Runtime::default()).await
}

pub(crate) async fn start_with(
    database: &TestDb,
    toml: &str,
    runtime: Runtime,
) -> Result<ServiceHandle, StartError> {
    start_at(database, toml, runtime, MockClock::new()).await
}

/// Starts the probe with this clock.
pub(crate) async fn start_at(
    database: &TestDb,
    toml: &str,
    runtime: Runtime,
    clock: MockClock,
) -> Result<ServiceHandle, StartError> {
    let layers = Layers::of_text("insecure_dev = true")
        .with(format!(
            "[database]\nurl = {:?}\nmax_connections = 4",
            database.url()
        ))
        .with(toml);
    let runtime = Runtime {
        clock: Arc::new(clock),
        ids: Arc::new(SeqIds::new()),
        ..runtime
    };
    Probe.start(&layers, runtime).await
}

/// Calls PlaceHold, which does what it is told.
pub(crate) async fn call(channel: Channel, what: &str) -> Result<String, PeerError> {
    let request = tell(what);
    let answer = HoldServiceClient::new(channel).place_hold(request).await;
    Ok(note(answer?.into_inner()))
}

/// [`call`] by somebody who proves who it is by this token or key.
pub(crate) async fn call_with(
    channel: Channel,
    secret: &str,
    what: &str,
) -> Result<String, PeerError> {
    let mut request = Request::new(tell(what));
    let bearer = format!("Bearer {secret}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    let answer = HoldServiceClient::new(channel).place_hold(request).await;
    Ok(note(answer?.into_inner()))
}

pub(crate) fn tell(what: &str) -> PlaceHoldRequest {
    PlaceHoldRequest {
        order_id: what.to_owned(),
        ..PlaceHoldRequest::default()
    }
}

pub(crate) fn note(answer: PlaceHoldResponse) -> String {
    answer.hold.unwrap().note
}

/// A gRPC frame around these bytes.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len().try_into().unwrap());
    frame.put_slice(message);
    frame.freeze()
}

/// One HTTP/1 request; answers everything that came back, as text.
pub(crate) async fn http(addr: SocketAddr, line: &str, headers: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let length = body.len();
    let head = format!(
        "{line}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
