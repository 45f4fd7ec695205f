//! Every mutating RPC twice: the second call answers what the first one did and changes nothing.

use std::sync::atomic::Ordering;

use oms_proto::common::v1::ErrorReason;
use oms_proto::returns::v1 as pb;
use oms_proto::returns::v1::{Disposition, RefundTiming, ReturnCondition};
use tonic::Code;

use crate::rig::{Rig, call, id, new_return};

/// Rows and counters of everything that a command writes.
async fn fingerprint(rig: &Rig) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in ["returns", "return_lines", "idempotency", "tasks"] {
        counts.push(rig.rows(table).await);
    }
    let query = "SELECT sum(version)::bigint FROM returns";
    let versions: Option<i64> = sqlx::query_scalar(query)
        .fetch_one(&mut rig.db.connect().await)
        .await
        .unwrap();
    counts.extend(versions);
    counts
}

/// Calls twice with the same request, and once with another body under the same id.
macro_rules! replayed {
    ($rig:expr, $rpc:ident, $request:expr, $other:expr) => {{
        let request = $request;
        let first = call!($rig, $rpc, request.clone()).unwrap();
        let before = fingerprint($rig).await;
        let second = call!($rig, $rpc, request.clone()).unwrap();
        assert_eq!(first, second, stringify!($rpc));
        let mut other = request;
        $other(&mut other);
        let error = call!($rig, $rpc, other).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(
            error.reason(),
            Some(ErrorReason::RequestIdReused),
            stringify!($rpc)
        );
        assert_eq!(fingerprint($rig).await, before, stringify!($rpc));
        first
    }};
}

#[tokio::test]
async fn every_command_may_be_repeated() {
    let rig = &Rig::start().await;
    let order = rig.shipped(&[2]);
    let ret = replayed!(
        rig,
        request_return,
        new_return(&order, &[2], RefundTiming::OnInspection),
        |other: &mut pb::RequestReturnRequest| other.lines[0].quantity = 1
    );
    assert_eq!(
        rig.orders.asked.load(Ordering::Relaxed),
        1,
        "a repeat asks no peer"
    );
    let return_id = || ret.return_id.clone();
    replayed!(
        rig,
        authorize_return,
        pb::AuthorizeReturnRequest {
            request_id: id(),
            return_id: return_id(),
            // The version moves on; the repeat still answers.
            etag: ret.etag.clone(),
        },
        |other: &mut pb::AuthorizeReturnRequest| other.etag.clear()
    );
    replayed!(
        rig,
        issue_return_label,
        pb::IssueReturnLabelRequest {
            request_id: id(),
            return_id: return_id(),
            etag: String::new(),
        },
        |other: &mut pb::IssueReturnLabelRequest| other.etag = "9".to_owned()
    );
    goods(rig, &ret).await;
}

/// What is done with the goods of an authorized return.
async fn goods(rig: &Rig, ret: &pb::Return) {
    let return_id = || ret.return_id.clone();
    let line = || ret.lines[0].return_line_id.clone();
    replayed!(
        rig,
        receive_return,
        pb::ReceiveReturnRequest {
            request_id: id(),
            return_id: return_id(),
            lines: vec![pb::ReturnQuantity {
                return_line_id: line(),
                quantity: 2,
            }],
            ..Default::default()
        },
        |other: &mut pb::ReceiveReturnRequest| other.lines[0].quantity = 1
    );
    replayed!(
        rig,
        inspect_return,
        pb::InspectReturnRequest {
            request_id: id(),
            return_id: return_id(),
            lines: vec![pb::InspectReturnLine {
                return_line_id: line(),
                quantity: 2,
                condition: ReturnCondition::Sellable.into(),
                refund_denied: false,
            }],
            ..Default::default()
        },
        |other: &mut pb::InspectReturnRequest| other.lines[0].refund_denied = true
    );
    replayed!(
        rig,
        dispose_return,
        pb::DisposeReturnRequest {
            request_id: id(),
            return_id: return_id(),
            lines: vec![pb::DisposeReturnLine {
                return_line_id: line(),
                quantity: 2,
                disposition: Disposition::Restock.into(),
            }],
            ..Default::default()
        },
        |other: &mut pb::DisposeReturnRequest| {
            other.lines[0].disposition = Disposition::Scrap.into();
        }
    );
}

#[tokio::test]
async fn an_end_may_be_repeated() {
    let rig = &Rig::start().await;
    let order = rig.shipped(&[1, 1]);
    let declined = rig
        .request(&order, &[1, 0], RefundTiming::OnReceipt)
        .await
        .unwrap();
    replayed!(
        rig,
        decline_return,
        pb::DeclineReturnRequest {
            request_id: id(),
            return_id: declined.return_id,
            reason: "too late".to_owned(),
            ..Default::default()
        },
        |other: &mut pb::DeclineReturnRequest| other.reason = "too early".to_owned()
    );
    let canceled = rig
        .request(&order, &[0, 1], RefundTiming::OnReceipt)
        .await
        .unwrap();
    replayed!(
        rig,
        cancel_return,
        pb::CancelReturnRequest {
            request_id: id(),
            return_id: canceled.return_id,
            ..Default::default()
        },
        |other: &mut pb::CancelReturnRequest| other.reason = "because".to_owned()
    );
}

#[tokio::test]
async fn a_request_that_comes_twice_at_once_is_done_once() {
    let rig = Rig::start().await;
    let order = rig.shipped(&[4]);
    let request = new_return(&order, &[2], RefundTiming::OnInspection);
    let again = || async { call!(rig, request_return, request.clone()) };
    let (one, two, three) = tokio::join!(again(), again(), again());
    let [one, two, three] = [one, two, three].map(Result::unwrap);
    assert_eq!((&one, &one), (&two, &three));
    assert_eq!(rig.rows("returns").await, 1);
}

#[tokio::test]
async fn another_caller_may_use_the_same_id() {
    let rig = Rig::start().await;
    let order = rig.shipped(&[4]);
    let request = new_return(&order, &[2], RefundTiming::OnInspection);
    let first = call!(rig, request_return, request.clone()).unwrap();
    let mut client = rig.returns.clone();
    let second = client
        .request_return(crate::rig::by("user:bob", request))
        .await;
    let second = second.unwrap().into_inner().return_order.unwrap();
    assert_ne!(first.return_id, second.return_id);
}
