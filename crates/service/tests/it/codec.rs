//! What cannot be read is refused with a code and a reason.

use bytes::Bytes;
use oms_proto::common::v1::ErrorReason;
use prost::Message;
use tonic::Code;

use crate::support::{Fixture, PLACE_HOLD, frame, tell};

#[tokio::test]
async fn what_cannot_be_decoded_is_malformed() {
    let fixture = Fixture::new().await;
    let mut compressed = frame(b"").to_vec();
    compressed[0] = 1;
    let cases = [
        ("invalid UTF-8", frame(&[0x12, 0x02, 0xc3, 0x28])),
        ("truncated field", frame(&[0x12, 0x7f, b'x'])),
        ("unknown wire type", frame(&[0x17])),
        (
            "frame that ends early",
            frame(&tell("echo").encode_to_vec()).slice(..8),
        ),
        ("no message", Bytes::new()),
        ("compression nobody named", Bytes::from(compressed)),
    ];
    for (what, body) in cases {
        let error = fixture.raw_error(PLACE_HOLD, body).await;
        assert_eq!(error.code(), Code::InvalidArgument, "{what}: {error}");
        assert_eq!(
            error.reason(),
            Some(ErrorReason::MessageMalformed),
            "{what}"
        );
    }
    assert_eq!(fixture.call("echo").await.unwrap(), "user:dev");
}

#[tokio::test]
async fn a_message_above_the_limit_is_too_large() {
    let fixture = Fixture::new().await;
    let large = "x".repeat(4 * 1_024 * 1_024);
    let error = fixture
        .raw_error(PLACE_HOLD, frame(&tell(&large).encode_to_vec()))
        .await;
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert_eq!(error.reason(), Some(ErrorReason::MessageTooLarge));
    assert_eq!(error.metadata("limit"), Some("4194304"));
    assert!(!error.retryable());
}

#[tokio::test]
async fn what_does_not_exist_is_unimplemented() {
    let fixture = Fixture::new().await;
    for path in [
        "/oms.order.v1.HoldService/Nothing",
        "/oms.order.v1.OrderService/PlaceOrder",
        "/oms.nothing.v1.NothingService/Nothing",
        "/",
    ] {
        let error = fixture.raw_error(path, frame(b"")).await;
        assert_eq!(error.code(), Code::Unimplemented, "{path}");
        assert_eq!(error.reason(), Some(ErrorReason::Unimplemented), "{path}");
    }
}
