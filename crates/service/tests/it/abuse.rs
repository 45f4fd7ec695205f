//! Clients that waste the server's time: they are cut off, and nobody else notices.

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use oms_proto::common::v1::ErrorReason;
use oms_proto::order::v1::hold_service_client::HoldServiceClient;
use oms_service::PeerError;
use oms_testkit::wait_for;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceExt;

use crate::feed::subscribe_after;
use crate::support::{Fixture, http, note, tell};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const IMPATIENT: &str = "server.handshake_timeout_ms = 100";

/// Everything that the server says until it closes the connection.
async fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    let patience = std::time::Duration::from_secs(30);
    // Closed with a reset is closed, too.
    let _ = tokio::time::timeout(patience, stream.read_to_end(&mut said))
        .await
        .unwrap();
    said
}

#[tokio::test]
async fn those_that_say_nothing_or_too_slowly_are_cut_off() {
    let fixture = Fixture::with(IMPATIENT).await;
    for words in [&b""[..], b"P", &PREFACE[..20], b"GET / HTTP/1.1\r\n"] {
        let mut stream = TcpStream::connect(fixture.handle.addr).await.unwrap();
        stream.write_all(words).await.unwrap();
        assert_eq!(fixture.call("echo").await.unwrap(), "user:dev");
        until_closed(stream).await;
    }
    // Whoever has greeted may be silent for longer: as long as another one is waited for.
    let channel = fixture.channel();
    assert!(crate::support::call(channel.clone(), "echo").await.is_ok());
    until_closed(TcpStream::connect(fixture.handle.addr).await.unwrap()).await;
    assert!(crate::support::call(channel, "echo").await.is_ok());
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Headers of a POST: the first two stand in the static table, path and authority are said.
fn headers() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (0x04, "/oms.order.v1.HoldService/PlaceHold"),
        (0x01, "localhost"),
    ] {
        block.push(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.as_bytes());
    }
    block
}

/// Type and error code of the GOAWAY frame among these frames.
fn goodbye(mut frames: &[u8]) -> Option<u32> {
    while frames.len() >= 9 {
        let length = u32::from_be_bytes([0, frames[0], frames[1], frames[2]]) as usize;
        let payload = frames.get(9..9 + length)?;
        if frames[3] == 7 {
            return Some(u32::from_be_bytes(payload.get(4..8)?.try_into().unwrap()));
        }
        frames = &frames[9 + length..];
    }
    None
}

#[tokio::test]
async fn a_flood_of_resets_ends_its_connection_only() {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const END_HEADERS: u8 = 4;
    const ENHANCE_YOUR_CALM: u32 = 11;

    let fixture = Fixture::new().await;
    let mut flood = PREFACE.to_vec();
    flood.extend(frame(SETTINGS, 0, 0, &[]));
    for stream in (1..4_000).step_by(2) {
        flood.extend(frame(HEADERS, END_HEADERS, stream, &headers()));
        flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let other = fixture.channel();
    assert!(crate::support::call(other.clone(), "echo").await.is_ok());
    for _ in 0..3 {
        let mut stream = TcpStream::connect(fixture.handle.addr).await.unwrap();
        // The server may close before it has read everything.
        let _ = stream.write_all(&flood).await;
        assert!(crate::support::call(other.clone(), "echo").await.is_ok());
        let said = until_closed(stream).await;
        // A reset of the connection may swallow the farewell.
        assert!(matches!(goodbye(&said), Some(ENHANCE_YOUR_CALM) | None));
    }
    assert!(crate::support::call(other, "echo").await.is_ok());
}

const WEBHOOK: &str = "POST /webhooks/probe HTTP/1.1";

#[tokio::test]
async fn webhooks_that_are_forged_too_often_are_not_looked_at() {
    let fixture = Fixture::with("auth.failures = { calls_per_second = 1, burst = 5 }").await;
    let addr = fixture.handle.addr;
    assert!(http(addr, WEBHOOK, "", b"signed").await.contains("taken"));
    let mut refused = None;
    for _ in 0..10_000 {
        let answer = http(addr, WEBHOOK, "", b"forged").await;
        if answer.starts_with("HTTP/1.1 429 ") {
            refused = Some(answer);
            break;
        }
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    assert!(refused.unwrap().contains("retry-after: "));
    // Calls come in by another door.
    assert_eq!(fixture.call("echo").await.unwrap(), "user:dev");
}

#[tokio::test]
async fn webhooks_that_never_end_keep_no_caller_out() {
    let limits = "server = { calls_max = 1, webhooks_max = 2, handshake_timeout_ms = 500 }";
    let fixture = Fixture::with(limits).await;
    let head = format!("{WEBHOOK}\r\nhost: localhost\r\ncontent-length: 6\r\n\r\nsig");
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(fixture.handle.addr).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
        assert_eq!(fixture.call("echo").await.unwrap(), "user:dev");
    }
    for stream in slow {
        let said = String::from_utf8(until_closed(stream).await).unwrap();
        let status = said.split(' ').nth(1);
        // It waited for the body in vain, or found no place.
        assert!(matches!(status, Some("408" | "503")), "{said}");
    }
    let answer = http(fixture.handle.addr, WEBHOOK, "", b"signed").await;
    assert!(answer.contains("taken"));
}

async fn echo_of(fixture: &Fixture, caller: &str) -> Result<String, PeerError> {
    let mut request = Request::new(tell("echo"));
    let metadata = request.metadata_mut();
    metadata.insert("oms-principal", caller.parse().unwrap());
    let mut client = HoldServiceClient::new(fixture.channel());
    Ok(note(client.place_hold(request).await?.into_inner()))
}

#[tokio::test]
async fn a_caller_with_too_many_calls_in_work_is_refused_and_nobody_else() {
    let fixture = Fixture::with("auth.calls_in_work = 3").await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(subscribe_after(&fixture, 0).await.unwrap());
        assert!(echo_of(&fixture, "partner:acme").await.is_ok());
    }
    let refused = fixture.call("echo").await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.reason(), Some(ErrorReason::RateLimited));
    assert_eq!(refused.metadata("calls_in_work"), Some("3"));
    assert!(refused.retry_after().is_some());
    assert!(echo_of(&fixture, "partner:acme").await.is_ok());

    streams.pop();
    wait_for("the place of a stream that was given up", || async {
        let said = fixture.call("echo").await;
        said.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
    // The place of an answer that is over is free at once.
    for _ in 0..3 {
        assert!(fixture.call("echo").await.is_ok());
    }
}

#[tokio::test]
async fn one_address_takes_no_more_than_its_share_of_connections() {
    // Patient, so that nobody is cut off for another reason.
    let limits = "server = { connections_per_address_max = 3, handshake_timeout_ms = 60000 }";
    let fixture = Fixture::with(limits).await;
    let addr = fixture.handle.addr;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(addr).await.unwrap());
    }
    for _ in 0..3 {
        let said = until_closed(TcpStream::connect(addr).await.unwrap()).await;
        assert!(said.is_empty(), "{said:?}");
    }
    let metrics = fixture.metrics().await;
    let refused = "oms_rpc_server_connections_refused{service=\"order\"}";
    assert!(metrics.contains(refused), "{metrics}");

    held.pop();
    wait_for("the room of a connection that is gone", || async {
        let said = fixture.call("echo").await;
        said.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
}

/// Watches the health of a server until it says something.
async fn watch(fixture: &Fixture) -> Result<Streaming<HealthCheckResponse>, Status> {
    let mut health = HealthClient::new(fixture.channel());
    let watched = health.watch(HealthCheckRequest::default()).await?;
    let mut watched = watched.into_inner();
    watched.message().await?;
    Ok(watched)
}

#[tokio::test]
async fn those_who_watch_health_have_places_of_their_own() {
    let fixture = Fixture::with("server = { calls_max = 1, health_calls_max = 2 }").await;
    let mut watching = Vec::new();
    for _ in 0..2 {
        watching.push(watch(&fixture).await.unwrap());
    }
    let refused = PeerError::from(watch(&fixture).await.unwrap_err());
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.reason(), Some(ErrorReason::Overloaded));
    assert_eq!(fixture.call("echo").await.unwrap(), "user:dev");

    watching.pop();
    wait_for("the place of one who does not watch any more", || async {
        let watched = watch(&fixture).await;
        watched.map(|_| ()).map_err(|status| status.to_string())
    })
    .await;
}

#[tokio::test]
async fn nobody_watches_health_for_ever() {
    let fixture = Fixture::with("server.connection_age_secs = 1").await;
    let mut watched = watch(&fixture).await.unwrap();
    let ended = PeerError::from(watched.message().await.unwrap_err());
    assert_eq!(ended.code(), Code::Unavailable);
    assert_eq!(ended.metadata("ended"), Some("age"));
}

#[tokio::test]
async fn who_never_ends_a_question_for_health_gets_the_deadline_of_calls() {
    let fixture = Fixture::with("server.call_timeout_ms = 100").await;
    let never = futures::stream::pending::<Result<Frame<Bytes>, Status>>();
    let path = "/grpc.health.v1.Health/Check";
    let request = http::Request::post(format!("{}{path}", fixture.handle.url()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(StreamBody::new(never)))
        .unwrap();
    let response = fixture.channel().oneshot(request).await.unwrap();
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}
