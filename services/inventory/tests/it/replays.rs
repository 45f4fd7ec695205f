//! A repeated call answers what the first one did and does nothing; with another body it is refused.

use oms_proto::inventory::v1 as pb;

use crate::corrections::{approval, rejection};
use crate::ledger::request;
use crate::rig::{
    EAST, Rig, WEST, allocate, answered, hold, id, item, location, part, receipt, refusal,
};

const REUSED: &str = "InvalidArgument REQUEST_ID_REUSED";

/// Calls twice, then with another body.
macro_rules! twice {
    ($client:expr, $method:ident, $request:expr, $other:expr) => {{
        let request = $request;
        let first = $client
            .clone()
            .$method(request.clone())
            .await
            .unwrap()
            .into_inner();
        let again = $client
            .clone()
            .$method(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(first, again, stringify!($method));
        let mut other = request;
        #[allow(
            clippy::redundant_closure_call,
            reason = "the closure names its argument's type"
        )]
        ($other)(&mut other);
        let reused = answered($client.clone().$method(other).await);
        assert_eq!(refusal(reused), REUSED, stringify!($method));
        first
    }};
}

#[tokio::test]
async fn every_mutating_call() {
    let rig = Rig::start().await;
    let api = &rig.api;
    let request = pb::BatchUpsertItemsRequest {
        request_id: id(),
        items: vec![item("A")],
    };
    twice!(
        api.items,
        batch_upsert_items,
        request,
        |other: &mut pb::BatchUpsertItemsRequest| {
            other.items[0].mass_grams += 1;
        }
    );
    let request = pb::UpsertLocationRequest {
        request_id: id(),
        location: Some(location("us-mid")),
    };
    twice!(
        api.locations,
        upsert_location,
        request,
        |other: &mut pb::UpsertLocationRequest| {
            other.location.as_mut().unwrap().latitude += 1.0;
        }
    );
    twice!(
        api.stock,
        receive_stock,
        receipt(EAST, &[("A", 100)]),
        |other: &mut pb::ReceiveStockRequest| {
            other.lines[0].quantity += 1;
        }
    );
    let request = pb::AdjustStockRequest {
        request_id: id(),
        sku: "A".to_owned(),
        location_id: EAST.to_owned(),
        lot: String::new(),
        delta: -10,
        reason: "SAMPLE".to_owned(),
    };
    twice!(
        api.stock,
        adjust_stock,
        request,
        |other: &mut pb::AdjustStockRequest| other.delta += 1
    );
    assert_eq!(rig.units("A", EAST).await, (90, 0, 0));
    held_and_released(&rig).await;
    allocated_and_shipped(&rig).await;
    verified_and_corrected(&rig).await;
    counted_and_moved(&rig).await;
    kept_back_and_expected(&rig).await;
    rig.audit().await;
}

async fn counted_and_moved(rig: &Rig) {
    let api = &rig.api;
    let request = pb::SetStockRequest {
        request_id: id(),
        sku: "A".to_owned(),
        location_id: EAST.to_owned(),
        quantity: 70,
        expected_quantity: Some(82),
        reason: "LOST".to_owned(),
        ..Default::default()
    };
    twice!(
        api.stock,
        set_stock,
        request,
        |other: &mut pb::SetStockRequest| other.quantity += 1
    );
    let place = |location_id: &str| {
        Some(pb::StockPlace {
            location_id: location_id.to_owned(),
            lot: String::new(),
        })
    };
    let west = rig.units("A", WEST).await.0;
    let request = pb::MoveStockRequest {
        request_id: id(),
        sku: "A".to_owned(),
        quantity: 30,
        from: place(EAST),
        to: place(WEST),
        reason: "RELOCATION".to_owned(),
    };
    twice!(
        api.stock,
        move_stock,
        request,
        |other: &mut pb::MoveStockRequest| other.quantity += 1
    );
    assert_eq!(rig.units("A", EAST).await.0, 40);
    assert_eq!(rig.units("A", WEST).await.0, west + 30);
}

async fn kept_back_and_expected(rig: &Rig) {
    let api = &rig.api;
    let policy = pb::StockPolicy {
        sku: "A".to_owned(),
        safety_stock: 3,
        ..Default::default()
    };
    let request = pb::UpsertStockPolicyRequest {
        request_id: id(),
        policy: Some(policy.clone()),
    };
    twice!(
        api.policies,
        upsert_stock_policy,
        request,
        |other: &mut pb::UpsertStockPolicyRequest| other.policy.as_mut().unwrap().safety_stock += 1
    );
    // With the etag that was there before: the repeat does not meet its own effect.
    let request = pb::BatchUpsertStockPoliciesRequest {
        request_id: id(),
        policies: vec![pb::StockPolicy {
            etag: "1".to_owned(),
            ..policy
        }],
    };
    twice!(
        api.policies,
        batch_upsert_stock_policies,
        request,
        |other: &mut pb::BatchUpsertStockPoliciesRequest| other.policies[0].safety_stock += 1
    );
    let receipt = pb::ExpectedReceipt {
        reference: "PO-1".to_owned(),
        sku: "A".to_owned(),
        location_id: EAST.to_owned(),
        quantity: 5,
        expect_time: Some(prost_types::Timestamp {
            seconds: 4_000_000_000,
            nanos: 123_456_789,
        }),
        ..Default::default()
    };
    let request = pb::UpsertExpectedReceiptRequest {
        request_id: id(),
        receipt: Some(receipt),
    };
    twice!(
        api.supply,
        upsert_expected_receipt,
        request,
        |other: &mut pb::UpsertExpectedReceiptRequest| other.receipt.as_mut().unwrap().quantity +=
            1
    );
    let request = pb::CancelExpectedReceiptRequest {
        request_id: id(),
        reference: "PO-1".to_owned(),
        sku: "A".to_owned(),
        location_id: EAST.to_owned(),
        etag: "1".to_owned(),
    };
    twice!(
        api.supply,
        cancel_expected_receipt,
        request,
        |other: &mut pb::CancelExpectedReceiptRequest| other.etag.clear()
    );
}

async fn held_and_released(rig: &Rig) {
    let api = &rig.api;
    let held = twice!(
        api.reservations,
        reserve,
        hold(&[("A", 5)]),
        |other: &mut pb::ReserveRequest| {
            other.lines[0].quantity += 1;
        }
    );
    let reservation_id = held.reservation.unwrap().reservation_id;
    let request = pb::ExtendReservationRequest {
        request_id: id(),
        reservation_id: reservation_id.clone(),
        time_to_live: Some(prost_types::Duration {
            seconds: 60,
            nanos: 0,
        }),
    };
    twice!(
        api.reservations,
        extend_reservation,
        request,
        |other: &mut pb::ExtendReservationRequest| {
            other.time_to_live.as_mut().unwrap().seconds += 1;
        }
    );
    let request = pb::ConfirmReservationRequest {
        request_id: id(),
        reservation_id,
    };
    let confirmed = twice!(
        api.reservations,
        confirm_reservation,
        request,
        |other: &mut pb::ConfirmReservationRequest| {
            other.reservation_id = id();
        }
    );
    let confirmed = confirmed.reservation.unwrap();
    let request = pb::ReleaseReservationRequest {
        request_id: id(),
        reservation_id: confirmed.reservation_id.clone(),
        lines: vec![part(&confirmed.lines[0], 2)],
        order_id: String::new(),
    };
    twice!(
        api.reservations,
        release_reservation,
        request,
        |other: &mut pb::ReleaseReservationRequest| {
            other.lines[0].quantity += 1;
        }
    );
    assert_eq!(rig.units("A", EAST).await, (87, 0, 3));
}

async fn allocated_and_shipped(rig: &Rig) {
    let api = &rig.api;
    let allocated = rig.reserve(allocate(&[("A", 7)])).await.unwrap();
    let request = pb::ReportShortRequest {
        request_id: id(),
        reservation_id: allocated.reservation_id.clone(),
        line: Some(part(&allocated.lines[0], 1)),
        reason: "NOT_FOUND".to_owned(),
    };
    twice!(
        api.reservations,
        report_short,
        request,
        |other: &mut pb::ReportShortRequest| {
            other.reason.push('X');
        }
    );
    let request = pb::IssueReservationRequest {
        request_id: id(),
        reservation_id: allocated.reservation_id.clone(),
        lines: vec![part(&allocated.lines[0], 4)],
        shipment_id: id(),
    };
    twice!(
        api.reservations,
        issue_reservation,
        request,
        |other: &mut pb::IssueReservationRequest| {
            other.shipment_id = id();
        }
    );
    let level = rig.level("A", EAST).await;
    assert_eq!(
        (level.available, level.allocated, level.count_pending),
        (80, 5, 1)
    );
    rig.receive("A", WEST, 9).await;
    let request = pb::MoveReservationRequest {
        request_id: id(),
        reservation_id: allocated.reservation_id.clone(),
        lines: vec![pb::MoveReservationLine {
            units: Some(part(&allocated.lines[0], 2)),
            to_location_id: WEST.to_owned(),
            to_lot: String::new(),
        }],
    };
    twice!(
        api.reservations,
        move_reservation,
        request,
        |other: &mut pb::MoveReservationRequest| {
            other.lines[0].to_lot.push('X');
        }
    );
    assert_eq!(rig.units("A", WEST).await, (7, 0, 2));
}

async fn verified_and_corrected(rig: &Rig) {
    let api = &rig.api;
    for units in [1, 2] {
        rig.sql(&format!(
            "UPDATE stock_level SET qc = qc + {units} WHERE location_id = 'us-east'"
        ))
        .await;
        let verified = twice!(
            api.stock,
            verify_ledger,
            request(false),
            |other: &mut pb::VerifyLedgerRequest| other.full = true
        );
        assert_eq!(verified.corrections.len(), 1);
        // Somebody else sees the same, so that it may be approved.
        let found = rig.found(false).await;
        if units == 1 {
            twice!(
                api.corrections,
                reject_correction,
                rejection(&found),
                |other: &mut pb::RejectCorrectionRequest| other.note.push('x')
            );
        } else {
            twice!(
                api.corrections,
                approve_correction,
                approval(&found),
                |other: &mut pb::ApproveCorrectionRequest| other.note.push('x')
            );
        }
    }
    assert_eq!(rig.level("A", EAST).await.qc, 0);
}

#[tokio::test]
async fn a_repeat_sees_what_happened_since() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let request = hold(&[("A", 5)]);
    let held = rig.reserve(request.clone()).await.unwrap();
    let released = rig.release(&held.reservation_id, Vec::new()).await.unwrap();
    assert_eq!(rig.reserve(request).await.unwrap(), released);
    assert_eq!(rig.units("A", EAST).await, (5, 0, 0));
    rig.audit().await;
}

/// A batch that only reserves is taken as new: that a request id was used for another reservation shows when it is written.
#[tokio::test]
async fn a_request_id_of_another_reservation_is_refused_and_holds_nothing() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 10)]).await;
    let first = hold(&[("A", 5)]);
    let mut other = hold(&[("A", 2)]);
    other.request_id.clone_from(&first.request_id);
    assert_ne!(first.reservation_id, other.reservation_id);
    rig.api.reservations.clone().reserve(first).await.unwrap();
    let reused = answered(rig.api.reservations.clone().reserve(other.clone()).await);
    assert_eq!(refusal(reused), REUSED);
    let unknown = pb::GetReservationRequest {
        reservation_id: other.reservation_id,
    };
    let found = rig.api.reservations.clone().get_reservation(unknown).await;
    assert_eq!(found.unwrap_err().code(), tonic::Code::NotFound);
}
