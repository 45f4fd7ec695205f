//! grpc-web over HTTP/1, as browsers speak it.

use prost::Message;

use crate::support::{Fixture, PLACE_HOLD, frame, http, tell};

const WEB: &str = "content-type: application/grpc-web+proto\r\norigin: http://localhost:3000\r\n";

async fn post(fixture: &Fixture, what: &str, headers: &str) -> String {
    let line = format!("POST {PLACE_HOLD} HTTP/1.1");
    let body = frame(&tell(what).encode_to_vec());
    http(
        fixture.handle.addr,
        &line,
        &format!("{WEB}{headers}"),
        &body,
    )
    .await
}

#[tokio::test]
async fn a_browser_can_call() {
    let fixture = Fixture::new().await;
    let answer = post(&fixture, "echo", "oms-principal: user:alice\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("user:alice"), "{answer}");
    assert!(answer.contains("grpc-status:0"), "{answer}");
    assert!(
        answer.contains("access-control-allow-origin: *"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_browser_may_ask_before_it_calls() {
    let fixture = Fixture::new().await;
    let headers = "origin: http://localhost:3000\r\naccess-control-request-method: POST\r\n\
                   access-control-request-headers: content-type,x-grpc-web\r\n";
    let line = format!("OPTIONS {PLACE_HOLD} HTTP/1.1");
    let answer = http(fixture.handle.addr, &line, headers, b"").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("access-control-allow-origin: *"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_deadline_that_passes_on_the_server_ends_the_call() {
    let fixture = Fixture::new().await;
    // By HTTP/1, because the gRPC client would end the call by itself.
    let answer = post(&fixture, "wait:forever", "grpc-timeout: 50m\r\n").await;
    assert!(answer.contains("grpc-status: 4"), "{answer}");
    assert!(answer.contains("grpc-status-details-bin: "), "{answer}");
}

#[tokio::test]
async fn what_is_no_call_is_refused() {
    let fixture = Fixture::new().await;
    let answer = http(fixture.handle.addr, "GET / HTTP/1.1", "", b"").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}
