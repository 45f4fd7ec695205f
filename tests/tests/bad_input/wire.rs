//! What cannot be read at all.

use anyhow::Context;
use oms::suite::SERVICES;
use oms_proto::common::v1::ErrorReason;
use oms_proto::order::v1 as o;
use oms_service::PeerError;
use oms_tests::wire::{Wire, frame};
use prost::Message;
use tonic::Code;

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
        let wire = Wire::connect(world.suite.suite.url(service)?).await?;
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
            let error = wire
                .call(method, body, "user:test")
                .await?
                .map(PeerError::from);
            table.judge(&name, error.as_ref(), expected);
        }
        let path = method.rsplit_once('/').context("no path")?.0;
        for path in [
            &format!("{path}/Nothing"),
            "/oms.nothing.v1.NothingService/Nothing",
        ] {
            let name = format!("{path} of {service}");
            let error = wire
                .call(path, frame(b""), "user:test")
                .await?
                .map(PeerError::from);
            table.judge(&name, error.as_ref(), &nothing);
        }
        let name = format!("a caller who is nobody to {service}");
        let error = wire
            .call(method, frame(b""), "nobody")
            .await?
            .map(PeerError::from);
        let expected = plain(Code::Unauthenticated, ErrorReason::Unauthenticated);
        table.judge(&name, error.as_ref(), &expected);
    }
    Ok(())
}
