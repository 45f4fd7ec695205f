//! Requests that cannot be right: everything that is wrong with them at once, and nothing half done.

use oms_proto::common::v1::ErrorReason;
use oms_proto::returns::v1 as pb;
use oms_proto::returns::v1::{Disposition, RefundTiming, ReturnCondition};
use oms_service::PeerError;
use tonic::Code;

use crate::rig::{LOCATION, Rig, by, call, id, new_return, ok};

fn found(error: &PeerError) -> Vec<(&str, &str)> {
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    let first = error.violations().first().expect("a violation");
    assert_eq!(
        error.reason().map(oms_service::reason_name),
        Some(first.reason.as_str())
    );
    error
        .violations()
        .iter()
        .map(|v| (v.field.as_str(), v.reason.as_str()))
        .collect()
}

#[tokio::test]
async fn a_request_is_checked_as_a_whole() {
    let rig = Rig::start().await;
    let line = |order_line_id: &str, quantity, reason: &str| pb::RequestReturnLine {
        order_line_id: order_line_id.to_owned(),
        quantity,
        reason: reason.to_owned(),
    };
    let twice = id();
    let wrong = pb::RequestReturnRequest {
        request_id: "x".to_owned(),
        order_id: "WEB-1".to_owned(),
        refund_timing: 77,
        location_id: String::new(),
        lines: vec![
            line("", 0, "UNWANTED"),
            line("x", -1, "BORED"),
            line(&twice, i64::MAX, "OTHER"),
            line(&twice, 1, "OTHER"),
        ],
    };
    let error = call!(rig, request_return, wrong).unwrap_err();
    let expected = [
        ("request_id", "FIELD_MALFORMED"),
        ("order_id", "FIELD_MALFORMED"),
        ("location_id", "FIELD_REQUIRED"),
        ("refund_timing", "FIELD_MALFORMED"),
        ("lines[0].quantity", "QUANTITY_INVALID"),
        ("lines[0].order_line_id", "FIELD_REQUIRED"),
        ("lines[1].quantity", "QUANTITY_INVALID"),
        ("lines[1].reason", "FIELD_MALFORMED"),
        ("lines[1].order_line_id", "FIELD_MALFORMED"),
        ("lines[2].quantity", "QUANTITY_INVALID"),
        ("lines[3].order_line_id", "DUPLICATE"),
    ];
    assert_eq!(found(&error), expected);
    let empty = call!(rig, request_return, pb::RequestReturnRequest::default()).unwrap_err();
    let expected = [
        ("request_id", "FIELD_REQUIRED"),
        ("order_id", "FIELD_REQUIRED"),
        ("location_id", "FIELD_REQUIRED"),
        ("lines", "FIELD_REQUIRED"),
    ];
    assert_eq!(found(&empty), expected);
    let mut long = new_return(&rig.shipped(&[1]), &[1], RefundTiming::OnReceipt);
    long.lines = vec![line(&id(), 1, "OTHER"); 10_000];
    let error = call!(rig, request_return, long).unwrap_err();
    assert_eq!(found(&error)[0], ("lines", "FIELD_OUT_OF_RANGE"));
    for table in ["returns", "idempotency", "tasks"] {
        assert_eq!(rig.rows(table).await, 0, "{table}");
    }
    assert_eq!(rig.told().await, 0);
}

#[tokio::test]
async fn references_into_nothing_are_refused() {
    let rig = Rig::start().await;
    let mut order = rig.shipped(&[2, 2]);
    for line in &mut order.lines {
        line.order_line_id = id();
    }
    let strangers = new_return(&order, &[1, 1], RefundTiming::OnReceipt);
    let error = call!(rig, request_return, strangers.clone()).unwrap_err();
    let expected = [
        ("lines[0].order_line_id", "REFERENCE_UNKNOWN"),
        ("lines[1].order_line_id", "REFERENCE_UNKNOWN"),
    ];
    assert_eq!(found(&error), expected);
    let nowhere = pb::RequestReturnRequest {
        order_id: id(),
        ..strangers
    };
    let error = call!(rig, request_return, nowhere).unwrap_err();
    assert_eq!(found(&error), [("order_id", "REFERENCE_UNKNOWN")]);
}

#[tokio::test]
async fn ids_that_nobody_gave_are_not_found() {
    let rig = Rig::start().await;
    let unknown = pb::Return {
        return_id: id(),
        lines: vec![pb::ReturnLine {
            return_line_id: id(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let get = pb::GetReturnRequest {
        return_id: unknown.return_id.clone(),
    };
    for answer in [
        call!(rig, get_return, get),
        rig.authorize(&unknown).await,
        rig.decline(&unknown).await,
        rig.label(&unknown).await,
        rig.receive(&unknown, &[1]).await,
        rig.inspect(&unknown, &[1], ReturnCondition::Sellable, false)
            .await,
        rig.dispose(&unknown, &[1], Disposition::Restock).await,
        rig.cancel(&unknown).await,
    ] {
        let error = answer.unwrap_err();
        assert_eq!(
            (error.code(), error.reason()),
            (Code::NotFound, Some(ErrorReason::NotFound))
        );
        assert_eq!(error.metadata("id"), Some(unknown.return_id.as_str()));
    }
    for table in ["idempotency", "tasks"] {
        assert_eq!(
            rig.rows(table).await,
            0,
            "a refused call leaves no row in {table}"
        );
    }
}

#[tokio::test]
async fn every_head_is_checked() {
    let rig = Rig::start().await;
    let request = pb::DeclineReturnRequest {
        etag: "latest".to_owned(),
        ..Default::default()
    };
    let error = call!(rig, decline_return, request).unwrap_err();
    let expected = [
        ("request_id", "FIELD_REQUIRED"),
        ("reason", "FIELD_REQUIRED"),
        ("return_id", "FIELD_REQUIRED"),
        ("etag", "FIELD_MALFORMED"),
    ];
    assert_eq!(found(&error), expected);
    let request = pb::CancelReturnRequest {
        request_id: id(),
        return_id: "7".to_owned(),
        reason: "ü".repeat(201),
        ..Default::default()
    };
    let error = call!(rig, cancel_return, request).unwrap_err();
    let expected = [
        ("reason", "FIELD_OUT_OF_RANGE"),
        ("return_id", "FIELD_MALFORMED"),
    ];
    assert_eq!(found(&error), expected);
    let get = pb::GetReturnRequest::default();
    let error = call!(rig, get_return, get).unwrap_err();
    assert_eq!(found(&error), [("return_id", "FIELD_REQUIRED")]);
}

#[tokio::test]
async fn units_are_checked_line_by_line() {
    let rig = Rig::start().await;
    let ret = rig.authorized(&[2], RefundTiming::OnInspection).await;
    let request = pb::InspectReturnRequest {
        request_id: id(),
        return_id: ret.return_id.clone(),
        lines: vec![
            pb::InspectReturnLine::default(),
            pb::InspectReturnLine {
                return_line_id: "x".to_owned(),
                quantity: 1_000_000_001,
                condition: ReturnCondition::Sellable.into(),
                refund_denied: false,
            },
        ],
        ..Default::default()
    };
    let error = call!(rig, inspect_return, request).unwrap_err();
    let expected = [
        ("lines[0].quantity", "QUANTITY_INVALID"),
        ("lines[0].return_line_id", "FIELD_REQUIRED"),
        ("lines[1].quantity", "QUANTITY_INVALID"),
        ("lines[1].return_line_id", "FIELD_MALFORMED"),
        ("lines[0].condition", "FIELD_REQUIRED"),
    ];
    assert_eq!(found(&error), expected);
    let request = pb::DisposeReturnRequest {
        request_id: id(),
        return_id: ret.return_id.clone(),
        lines: vec![pb::DisposeReturnLine {
            return_line_id: ret.lines[0].return_line_id.clone(),
            quantity: 1,
            disposition: 9,
        }],
        ..Default::default()
    };
    let error = call!(rig, dispose_return, request).unwrap_err();
    assert_eq!(found(&error), [("lines[0].disposition", "FIELD_REQUIRED")]);
    let empty = rig.receive(&ret, &[]).await.unwrap_err();
    assert_eq!(found(&empty), [("lines", "FIELD_REQUIRED")]);
    let mut stranger = ret.clone();
    stranger.lines[0].return_line_id = id();
    let error = rig.receive(&stranger, &[1]).await.unwrap_err();
    assert_eq!(
        found(&error),
        [("lines[0].return_line_id", "REFERENCE_UNKNOWN")]
    );
    assert_eq!(rig.get(&ret.return_id).await, ret);
}

#[tokio::test]
async fn more_than_is_there_is_refused() {
    let rig = Rig::start().await;
    let ret = rig.authorized(&[3, 2], RefundTiming::OnInspection).await;
    let exceeds = |error: PeerError, open: &str, requested: &str, fields: &[&str]| {
        assert_eq!(error.code(), Code::FailedPrecondition);
        assert_eq!(error.reason(), Some(ErrorReason::QuantityExceedsOpen));
        assert_eq!(error.metadata("open"), Some(open));
        assert_eq!(error.metadata("requested"), Some(requested));
        let told: Vec<&str> = error
            .violations()
            .iter()
            .map(|v| v.field.as_str())
            .collect();
        assert_eq!(told, fields);
    };
    let error = rig.receive(&ret, &[4, 3]).await.unwrap_err();
    exceeds(error, "3", "4", &["lines[0].quantity", "lines[1].quantity"]);
    let received = rig.receive(&ret, &[2, 0]).await.unwrap();
    let error = rig.receive(&ret, &[2, 0]).await.unwrap_err();
    exceeds(error, "1", "2", &["lines[0].quantity"]);
    let error = rig
        .inspect(&ret, &[3, 0], ReturnCondition::Sellable, false)
        .await
        .unwrap_err();
    exceeds(error, "2", "3", &["lines[0].quantity"]);
    let error = rig
        .dispose(&ret, &[1, 0], Disposition::Restock)
        .await
        .unwrap_err();
    exceeds(error, "0", "1", &["lines[0].quantity"]);
    assert_eq!(rig.get(&ret.return_id).await, received);
}

#[tokio::test]
async fn a_location_must_be_a_name() {
    let rig = Rig::start().await;
    let mut request = new_return(&rig.shipped(&[1]), &[1], RefundTiming::OnReceipt);
    request.location_id = LOCATION.to_uppercase();
    let error = call!(rig, request_return, request).unwrap_err();
    assert_eq!(found(&error), [("location_id", "FIELD_MALFORMED")]);
    let list = pb::ListReturnsRequest {
        order_id: "x".to_owned(),
        states: vec![99, 0, 1],
        page_size: -1,
        ..Default::default()
    };
    let error = ok(rig.returns.clone().list_returns(by("user:ann", list)).await).unwrap_err();
    let expected = [
        ("page_size", "FIELD_OUT_OF_RANGE"),
        ("order_id", "FIELD_MALFORMED"),
        ("states[0]", "FIELD_MALFORMED"),
        ("states[1]", "FIELD_MALFORMED"),
    ];
    assert_eq!(found(&error), expected);
}
