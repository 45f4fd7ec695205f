//! Calls of peers.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use futures::future;
use http::{Request, Response};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use oms_core::Principal;
use oms_proto::common::v1::ErrorReason;
use oms_proto::order::v1::hold_service_client::HoldServiceClient;
use oms_service::{PeerConfig, PeerError, Runtime, client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tonic::Code;
use tonic::body::Body;
use tower::ServiceExt;

use crate::abuse::frame;
use crate::support::{Fixture, PLACE_HOLD, database, note, start_with, tell};

#[tokio::test]
async fn a_service_calls_as_itself_or_on_behalf_of_somebody() {
    let fixture = Fixture::new().await;
    let channel = fixture.peer_channel();
    let answer = HoldServiceClient::new(channel.clone())
        .place_hold(tell("echo"))
        .await;
    assert_eq!(note(answer.unwrap().into_inner()), "service:returns");
    let alice: Principal = "user:alice".parse().unwrap();
    let mut client = HoldServiceClient::new(channel.on_behalf_of(&alice));
    let answer = client.place_hold(tell("echo")).await;
    assert_eq!(note(answer.unwrap().into_inner()), "user:alice");
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_unavailable_and_found_when_it_comes() {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let channel = client::connect("order", &PeerConfig::new(&url), "returns").unwrap();
    let mut client = HoldServiceClient::new(channel);
    let error = PeerError::from(client.place_hold(tell("echo")).await.unwrap_err());
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.retryable());

    let database = database().await;
    let listener = Arc::new(TcpListener::bind(url.trim_start_matches("http://")).unwrap());
    let runtime = Runtime {
        listener: Some(listener),
        ..Runtime::default()
    };
    let handle = start_with(&database, "", runtime).await.unwrap();
    assert_eq!(handle.url(), url);
    client.place_hold(tell("echo")).await.unwrap();
}

#[tokio::test]
async fn a_peer_whose_name_is_unknown_is_unavailable_and_named() {
    // A name that never exists (RFC 6761).
    let config = PeerConfig::new("http://order.invalid:7001");
    let channel = client::connect("order", &config, "returns").unwrap();
    let mut client = HoldServiceClient::new(channel);
    let error = PeerError::from(client.place_hold(tell("echo")).await.unwrap_err());
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.retryable());
    assert!(error.message().contains("order.invalid"), "{error}");
}

#[tokio::test]
async fn calls_spread_over_the_addresses_that_are_listed() {
    let (one, other) = (Fixture::new().await, Fixture::new().await);
    let config = PeerConfig {
        addresses: vec![one.handle.addr, other.handle.addr],
        ..PeerConfig::new("http://order.invalid:7001")
    };
    let channel = client::connect("order", &config, "returns").unwrap();
    let mut client = HoldServiceClient::new(channel);
    for _ in 0..10 {
        client.place_hold(tell("echo")).await.unwrap();
    }
    other.handle.shutdown().await.unwrap();
    for _ in 0..10 {
        client.place_hold(tell("echo")).await.unwrap();
    }
}

#[tokio::test]
async fn a_peer_that_does_not_answer_in_time_is_told_so() {
    let fixture = Fixture::new().await;
    let config = PeerConfig {
        timeout_ms: 50,
        ..PeerConfig::new(fixture.handle.url())
    };
    let channel = client::connect("order", &config, "returns").unwrap();
    let mut client = HoldServiceClient::new(channel);
    let error = PeerError::from(client.place_hold(tell("wait:forever")).await.unwrap_err());
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert_eq!(error.reason(), Some(ErrorReason::DeadlineExceeded));
}

#[tokio::test]
async fn a_peer_that_fails_again_and_again_is_left_alone_until_it_is_back() {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let config = PeerConfig {
        failures_max: 3,
        pause_ms: 20,
        ..PeerConfig::new(&url)
    };
    let channel = client::connect("order", &config, "returns").unwrap();
    let mut client = HoldServiceClient::new(channel);
    let mut said = String::new();
    for _ in 0..4 {
        let error = PeerError::from(client.place_hold(tell("echo")).await.unwrap_err());
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.retryable());
        error.message().clone_into(&mut said);
    }
    assert_eq!(said, "order has not answered many times in a row");

    let database = database().await;
    let listener = Arc::new(TcpListener::bind(url.trim_start_matches("http://")).unwrap());
    let runtime = Runtime {
        listener: Some(listener),
        ..Runtime::default()
    };
    let _handle = start_with(&database, "", runtime).await.unwrap();
    oms_testkit::wait_for("the peer to be asked again", || {
        let mut client = client.clone();
        async move {
            let answer = client.place_hold(tell("echo")).await;
            answer.map_err(|status| status.to_string())
        }
    })
    .await;
    client.place_hold(tell("echo")).await.unwrap();
}

#[tokio::test]
async fn calls_above_the_limit_wait_for_a_place() {
    let fixture = Fixture::new().await;
    let config = PeerConfig {
        calls_max: 1,
        ..PeerConfig::new(fixture.handle.url())
    };
    let channel = client::connect("order", &config, "returns").unwrap();
    let calls = (0..8).map(|_| {
        let mut client = HoldServiceClient::new(channel.clone());
        async move { client.place_hold(tell("echo")).await }
    });
    for answer in future::join_all(calls).await {
        answer.unwrap();
    }
    // One takes the place and does not give it back in time.
    let config = PeerConfig {
        timeout_ms: 50,
        ..config
    };
    let channel = client::connect("order", &config, "returns").unwrap();
    let mut one = HoldServiceClient::new(channel.clone());
    let mut other = HoldServiceClient::new(channel);
    let (first, second) = tokio::join!(
        one.place_hold(tell("wait:forever")),
        other.place_hold(tell("wait:forever"))
    );
    let codes = [first.unwrap_err().code(), second.unwrap_err().code()];
    assert!(codes.contains(&Code::DeadlineExceeded), "{codes:?}");
}

#[tokio::test]
async fn a_handler_calls_a_peer() {
    let inventory = Fixture::new().await;
    inventory.publish(&[("o-1", 1)]).await;
    let config = format!("[peers.inventory]\nurl = {:?}", inventory.handle.url());
    let order = Fixture::with(&config).await;
    oms_testkit::wait_for("the relay", || async {
        match order.call("head").await.unwrap().as_str() {
            "1" => Ok(()),
            other => Err(other.to_owned()),
        }
    })
    .await;
    inventory.handle.shutdown().await.unwrap();
    let error = order.call("head").await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(error.reason(), Some(ErrorReason::Unavailable));
    assert_eq!(error.metadata("peer"), Some("inventory"));
}

#[tokio::test]
async fn the_deadline_of_the_door_is_that_of_the_last_hop() {
    let last = Fixture::new().await;
    let peer = |of: &Fixture| format!("[peers.inventory]\nurl = {:?}", of.handle.url());
    let middle = Fixture::with(&peer(&last)).await;
    let door = Fixture::with(&peer(&middle)).await;
    let mut request = tonic::Request::new(tell("timeouts"));
    request.set_timeout(Duration::from_secs(5));
    let mut client = HoldServiceClient::new(door.channel());
    let seen = note(client.place_hold(request).await.unwrap().into_inner());
    let micros = |text: &str| -> u64 {
        let (number, unit) = text.split_at(text.len() - 1);
        number.parse::<u64>().unwrap() * if unit == "m" { 1_000 } else { 1 }
    };
    let seen: Vec<u64> = seen.split(' ').map(micros).collect();
    // Five seconds, and always a little less: peers would wait ten.
    assert_eq!(seen.len(), 3);
    assert!(
        seen[0] <= 5_000_000 && seen.is_sorted_by(|a, b| a > b),
        "{seen:?}"
    );
}

/// Begins the first answer of a connection, and ends the connection in the middle of it.
async fn break_off(mut stream: TcpStream) -> io::Result<()> {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const END_HEADERS: u8 = 4;
    stream.read_exact(&mut [0; 24]).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).await?;
        if head[3] == HEADERS {
            break;
        }
    }
    // Status 200 from the static table, and the type.
    let mut block = vec![0x88, 0x0f, 0x10, 16];
    block.extend(b"application/grpc");
    let mut answer = frame(SETTINGS, 0, 0, &[]);
    answer.extend(frame(HEADERS, END_HEADERS, 1, &block));
    answer.extend(frame(DATA, 0, 1, b"\0\0\0\0\x40 a part of it"));
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_at_another_replica() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(break_off(stream));
        }
    });
    let good = Fixture::new().await;
    let client = |addresses| {
        let config = PeerConfig {
            addresses,
            ..PeerConfig::new("http://order.invalid:7001")
        };
        HoldServiceClient::new(client::connect("order", &config, "returns").unwrap())
    };
    let mut both = client(vec![addr, good.handle.addr]);
    for _ in 0..10 {
        both.place_hold(tell("echo")).await.unwrap();
    }
    let alone = client(vec![addr]).place_hold(tell("echo")).await;
    let error = alone.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains("broke off"), "{error}");
}

/// Serves one connection and closes it after its first answer.
async fn close_early(stream: TcpStream) {
    let closing = Arc::new(Notify::new());
    let answered = Arc::clone(&closing);
    let service = service_fn(move |_| {
        answered.notify_one();
        future::ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let builder = Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = closing.notified() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_that_a_closing_connection_did_not_take_is_made_on_the_next() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(close_early(stream));
        }
    });
    let channel = client::connect("order", &PeerConfig::new(url), "returns").unwrap();
    let callers = (0..32).map(|_| {
        let channel = channel.clone();
        tokio::spawn(async move {
            for _ in 0..100 {
                let request = Request::builder().uri(PLACE_HOLD).body(Body::empty());
                channel.clone().oneshot(request.unwrap()).await.unwrap();
            }
        })
    });
    for caller in future::join_all(callers).await {
        caller.unwrap();
    }
}
