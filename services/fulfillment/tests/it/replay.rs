//! Every mutating RPC twice: the second call answers what the first one did and changes nothing.

use std::fmt::Debug;

use oms_proto::common::v1::{Dimensions, ErrorReason};
use oms_proto::fulfillment::v1 as pb;
use oms_service::PeerError;
use sqlx::AssertSqlSafe;

use crate::rig::{Rig, WEST, allocated, by, code, destination, id, ok};

const ANN: &str = "user:ann";

/// Calls twice with the same request, then with another body under the same request id.
async fn repeated<Q, A, Answer>(rig: &Rig, request: Q, other: Q, call: impl Fn(Q) -> Answer) -> A
where
    Q: Clone + Debug,
    A: PartialEq + Debug,
    Answer: Future<Output = Result<A, PeerError>>,
{
    let first = call(request.clone()).await.unwrap();
    let before = rows(rig).await;
    let second = call(request.clone()).await.unwrap();
    assert_eq!(first, second, "{request:?}");
    let error = call(other).await.unwrap_err();
    assert_eq!(
        error.reason(),
        Some(ErrorReason::RequestIdReused),
        "{request:?}"
    );
    assert_eq!(rows(rig).await, before, "{request:?}");
    first
}

/// What a command can change, as numbers.
async fn rows(rig: &Rig) -> Vec<i64> {
    let mut conn = rig.db.connect().await;
    let mut numbers = Vec::new();
    for query in [
        "count(*) FROM sourcing_proposals",
        "count(*) FROM fulfillment_orders",
        "count(*) FROM cancellations",
        "count(*) FROM waves",
        "count(*) FROM shorts",
        "count(*) FROM packages",
        "count(*) FROM idempotency",
        "count(*) FROM tasks",
        "sum(version + event_sequence)::bigint FROM fulfillment_orders",
        "sum(picked + packing + packed + short + canceled)::bigint FROM fulfillment_order_lines",
        "sum(version)::bigint FROM pick_lists",
        "sum(version)::bigint FROM pack_sessions",
        "sum(quantity)::bigint FROM package_lines",
    ] {
        let query = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {query}")));
        let number: Option<i64> = query.fetch_one(&mut conn).await.unwrap();
        numbers.push(number.unwrap_or_default());
    }
    numbers
}

#[tokio::test]
async fn proposals_and_fulfillment_orders() {
    let rig = &Rig::start().await;
    let propose = pb::ProposeSourcingRequest {
        request_id: id(),
        order_id: id(),
        destination: Some(destination("89101")),
        lines: vec![pb::SourcingLine {
            order_line_id: id(),
            sku: "A".to_owned(),
            quantity: 2,
        }],
        ..Default::default()
    };
    let other = pb::ProposeSourcingRequest {
        order_id: id(),
        ..propose.clone()
    };
    repeated(rig, propose, other, |request| async {
        ok(rig
            .sourcing
            .clone()
            .propose_sourcing(by(ANN, request))
            .await)
    })
    .await;

    let create = allocated(&[("A", WEST, 3), ("B", WEST, 1)]);
    let other = pb::CreateFulfillmentOrdersRequest {
        priority: 1,
        ..create.clone()
    };
    let created = repeated(rig, create, other, |request| async {
        ok(rig
            .orders
            .clone()
            .create_fulfillment_orders(by(ANN, request))
            .await)
    })
    .await;
    assert_eq!(created.fulfillment_orders.len(), 1);
}

#[tokio::test]
async fn holds_and_cancellations() {
    let rig = &Rig::start().await;
    let order = rig.order(&[("A", 3), ("B", 1)]).await;
    let hold = pb::HoldFulfillmentOrderRequest {
        request_id: id(),
        fulfillment_order_id: order.fulfillment_order_id.clone(),
        etag: String::new(),
        reason: "why".to_owned(),
    };
    let other = pb::HoldFulfillmentOrderRequest {
        reason: "because".to_owned(),
        ..hold.clone()
    };
    repeated(rig, hold, other, |request| async {
        ok(rig
            .orders
            .clone()
            .hold_fulfillment_order(by(ANN, request))
            .await)
    })
    .await;

    let release = pb::ReleaseFulfillmentOrderHoldRequest {
        request_id: id(),
        fulfillment_order_id: order.fulfillment_order_id.clone(),
        etag: String::new(),
    };
    let other = pb::ReleaseFulfillmentOrderHoldRequest {
        etag: "1".to_owned(),
        ..release.clone()
    };
    repeated(rig, release, other, |request| async {
        ok(rig
            .orders
            .clone()
            .release_fulfillment_order_hold(by(ANN, request))
            .await)
    })
    .await;

    let cancel = pb::CancelFulfillmentOrderRequest {
        request_id: id(),
        fulfillment_order_id: order.fulfillment_order_id.clone(),
        lines: vec![pb::CancelLine {
            order_line_id: order.lines[0].order_line_id.clone(),
            quantity: 1,
        }],
        ..Default::default()
    };
    let other = pb::CancelFulfillmentOrderRequest {
        lines: Vec::new(),
        ..cancel.clone()
    };
    repeated(rig, cancel, other, |request| async {
        ok(rig
            .orders
            .clone()
            .cancel_fulfillment_order(by(ANN, request))
            .await)
    })
    .await;
}

#[tokio::test]
async fn waves() {
    let rig = &Rig::start().await;
    let wave = || pb::CreateWaveRequest {
        request_id: id(),
        location_id: WEST.to_owned(),
        ..Default::default()
    };
    let call = |request| async { ok(rig.waves.clone().create_wave(by(ANN, request)).await) };
    // A wave that found nothing finds nothing again, though there is something by then.
    let empty = wave();
    assert_eq!(call(empty.clone()).await.unwrap().wave.unwrap().wave_id, "");
    rig.order(&[("A", 3)]).await;
    assert_eq!(call(empty).await.unwrap().wave.unwrap().wave_id, "");

    let wave = wave();
    let other = pb::CreateWaveRequest {
        orders_max: 1,
        ..wave.clone()
    };
    repeated(rig, wave, other, call).await;
}

#[tokio::test]
async fn picking() {
    let rig = &Rig::start().await;
    rig.order(&[("A", 3)]).await;
    let list = rig.released().await;
    let assign = pb::AssignPickListRequest {
        request_id: id(),
        pick_list_id: list.pick_list_id.clone(),
        ..Default::default()
    };
    let other = pb::AssignPickListRequest {
        assignee: "user:bob".to_owned(),
        ..assign.clone()
    };
    repeated(rig, assign, other, |request| async {
        ok(rig.picking.clone().assign_pick_list(by(ANN, request)).await)
    })
    .await;

    let scan = pb::ScanPickRequest {
        request_id: id(),
        pick_list_id: list.pick_list_id.clone(),
        barcode: code("A"),
        quantity: 1,
        ..Default::default()
    };
    let other = pb::ScanPickRequest {
        quantity: 2,
        ..scan.clone()
    };
    repeated(rig, scan, other, |request| async {
        ok(rig.picking.clone().scan_pick(by(ANN, request)).await)
    })
    .await;

    let short = pb::ReportShortPickRequest {
        request_id: id(),
        pick_list_id: list.pick_list_id.clone(),
        pick_line_id: list.lines[0].pick_line_id.clone(),
        quantity: 1,
        reason: "DAMAGED".to_owned(),
    };
    let call = |request| async {
        ok(rig
            .picking
            .clone()
            .report_short_pick(by(ANN, request))
            .await)
    };
    call(short.clone()).await.unwrap();
    // Created, released, picked, its stage, shorted; and then what became of it.
    rig.events(&list.lines[0].fulfillment_order_id, 6).await;
    let other = pb::ReportShortPickRequest {
        quantity: 2,
        ..short.clone()
    };
    repeated(rig, short, other, call).await;
}

#[tokio::test]
async fn pack_sessions() {
    let rig = &Rig::start().await;
    let order = rig.picked(&[("A", 2)]).await;
    let open = pb::OpenPackSessionRequest {
        request_id: id(),
        fulfillment_order_id: order.fulfillment_order_id.clone(),
    };
    let other = pb::OpenPackSessionRequest {
        fulfillment_order_id: id(),
        ..open.clone()
    };
    let opened = repeated(rig, open, other, |request| async {
        ok(rig
            .packing
            .clone()
            .open_pack_session(by(ANN, request))
            .await)
    })
    .await;
    let abandon = pb::AbandonPackSessionRequest {
        request_id: id(),
        pack_session_id: opened.pack_session.unwrap().pack_session_id,
        etag: String::new(),
    };
    let other = pb::AbandonPackSessionRequest {
        etag: "1".to_owned(),
        ..abandon.clone()
    };
    repeated(rig, abandon, other, |request| async {
        ok(rig
            .packing
            .clone()
            .abandon_pack_session(by(ANN, request))
            .await)
    })
    .await;
}

#[tokio::test]
async fn packages() {
    let rig = &Rig::start().await;
    let order = rig.picked(&[("A", 2)]).await;
    let session = rig.open(&order.fulfillment_order_id).await.unwrap();
    let scan = pb::ScanPackRequest {
        request_id: id(),
        pack_session_id: session.pack_session_id.clone(),
        package_number: 1,
        barcode: code("A"),
        quantity: 1,
    };
    let other = pb::ScanPackRequest {
        quantity: 2,
        ..scan.clone()
    };
    repeated(rig, scan, other, |request| async {
        ok(rig.packing.clone().scan_pack(by(ANN, request)).await)
    })
    .await;
    let measure = pb::MeasurePackageRequest {
        request_id: id(),
        pack_session_id: session.pack_session_id.clone(),
        package_number: 1,
        mass_grams: 900,
        dimensions: Some(Dimensions {
            length_mm: 3,
            width_mm: 2,
            height_mm: 1,
        }),
    };
    let other = pb::MeasurePackageRequest {
        mass_grams: 901,
        ..measure.clone()
    };
    repeated(rig, measure, other, |request| async {
        ok(rig.packing.clone().measure_package(by(ANN, request)).await)
    })
    .await;
    let close = pb::ClosePackSessionRequest {
        request_id: id(),
        pack_session_id: session.pack_session_id.clone(),
        etag: String::new(),
    };
    let other = pb::ClosePackSessionRequest {
        etag: "1".to_owned(),
        ..close.clone()
    };
    repeated(rig, close, other, |request| async {
        ok(rig
            .packing
            .clone()
            .close_pack_session(by(ANN, request))
            .await)
    })
    .await;
}
