//! What cannot be read at all.

use anyhow::Context;
use http_body_util::{BodyExt, Full};
use oms::suite::SERVICES;
use oms_proto::common::v1::ErrorReason;
use oms_proto::order::v1 as o;
use oms_service::PeerError;
use prost::Message;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tonic::codegen::{Bytes, Service};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::table::{Table, plain};
use crate::world::World;

/// A method per service that changes something, and whose second field is a text.
const METHODS: [&str; 5] = [
    "/oms.order.v1.HoldService/PlaceHold",
    "/oms.inventory.v1.ReservationService/ConfirmReservation",
    "/oms.fulfillment.v1.FulfillmentOrderService/HoldFulfillmentOrder",
    "/oms.shipping.v1.ShipmentService/ConfirmShip",
    "/oms.returns.v1.ReturnService/AuthorizeReturn",
];

pub(crate) async fn cases(world: &World, table: &mut Table) -> anyhow::Result<()> {
    let malformed = plain(Code::InvalidArgument, ErrorReason::MessageMalformed);
    let too_large = plain(Code::ResourceExhausted, ErrorReason::MessageTooLarge);
    let nothing = plain(Code::Unimplemented, ErrorReason::Unimplemented);
    let large = o::PlaceHoldRequest {
        note: "x".repeat(4 << 20),
        ..Default::default()
    };
    let whole = frame(b"\x12\x03abc");
    let mut compressed = whole.clone();
    if let Some(flag) = compressed.first_mut() {
        *flag = 1;
    }
    for ((service, _), method) in SERVICES.iter().zip(METHODS) {
        let url = world.suite.suite.url(service)?;
        let channel = Endpoint::from_shared(url.clone())?.connect().await?;
        for (name, body, expected) in [
            (
                "text that is not UTF-8",
                frame(&[0x12, 0x02, 0xc3, 0x28]),
                &malformed,
            ),
            ("a message cut off", frame(&[0x12, 0x7f, b'x']), &malformed),
            (
                "a frame cut off",
                whole.get(..6).context("short")?.to_vec(),
                &malformed,
            ),
            ("no message", Vec::new(), &malformed),
            (
                "a compression that nobody named",
                compressed.clone(),
                &malformed,
            ),
            (
                "a message of 4 MiB",
                frame(&large.encode_to_vec()),
                &too_large,
            ),
        ] {
            let name = format!("{name} to {service}");
            let error = call(&channel, &url, method, body, "user:test").await?;
            table.judge(&name, error.as_ref(), expected);
        }
        let path = method.rsplit_once('/').context("no path")?.0;
        for path in [
            &format!("{path}/Nothing"),
            "/oms.nothing.v1.NothingService/Nothing",
        ] {
            let name = format!("{path} of {service}");
            let error = call(&channel, &url, path, frame(b""), "user:test").await?;
            table.judge(&name, error.as_ref(), &nothing);
        }
        let name = format!("a caller who is nobody to {service}");
        let error = call(&channel, &url, method, frame(b""), "nobody").await?;
        let expected = plain(Code::Unauthenticated, ErrorReason::Unauthenticated);
        table.judge(&name, error.as_ref(), &expected);
    }
    Ok(())
}

/// A gRPC frame around a message.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = vec![0];
    frame.extend(length.to_be_bytes());
    frame.extend(message);
    frame
}

/// Sends bytes as the body of a call; the failure that is answered, if it is one.
async fn call(
    channel: &Channel,
    url: &str,
    path: &str,
    body: Vec<u8>,
    principal: &str,
) -> anyhow::Result<Option<PeerError>> {
    let request = Request::post(format!("{url}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("oms-principal", principal)
        .body(Body::new(Full::new(Bytes::from(body))))?;
    let mut channel = channel.clone();
    futures::future::poll_fn(|context| channel.poll_ready(context)).await?;
    let (head, body) = channel.call(request).await?.into_parts();
    let headers = if head.headers.contains_key(Status::GRPC_STATUS) {
        head.headers
    } else {
        let body = body.collect().await?;
        body.trailers().context("no trailers")?.clone()
    };
    let status = Status::from_header_map(&headers).context("no status")?;
    Ok((status.code() != Code::Ok).then(|| PeerError::from(status)))
}
