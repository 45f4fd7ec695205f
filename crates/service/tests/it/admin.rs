//! Probes and metrics.

use crate::support::{Fixture, http};

#[tokio::test]
async fn failing_calls_are_counted_with_their_code_wherever_the_status_sits() {
    let fixture = Fixture::new().await;
    fixture.call("echo").await.unwrap();
    // The status of this one is in the headers ..
    fixture.call("shortage").await.unwrap_err();
    // .. and of this one in the trailers.
    crate::feed::subscribe_after(&fixture, 999)
        .await
        .unwrap_err();
    let metrics = fixture.metrics().await;
    for (method, code) in [
        ("HoldService/PlaceHold", "OK"),
        ("HoldService/PlaceHold", "FAILED_PRECONDITION"),
        ("EventFeedService/Subscribe", "FAILED_PRECONDITION"),
    ] {
        let line = format!(
            "oms_rpc_server_duration_seconds_count{{service=\"order\",method=\"{method}\",code=\"{code}\"}}"
        );
        assert!(metrics.contains(&line), "{line} is missing in\n{metrics}");
    }
    let reasons = "oms_rpc_server_errors{service=\"order\",reason=\"OUT_OF_STOCK\"}";
    assert!(metrics.contains(reasons), "{metrics}");
}

#[tokio::test]
async fn probes_answer() {
    let fixture = Fixture::new().await;
    let addr = fixture.handle.admin_addr;
    for path in ["/livez", "/readyz"] {
        let answer = http(addr, &format!("GET {path} HTTP/1.1"), "", b"").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let answer = http(addr, "GET /secrets HTTP/1.1", "", b"").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}
