//! Canceling units that nobody has started on.

use oms_proto::common::v1::ErrorReason;
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fact;
use oms_proto::fulfillment::v1::{
    FloorStage, FulfillmentOrderState as State, PickLineState, PickListState, PickMethod,
};
use oms_service::PeerError;

use crate::rig::{Rig, WEST, by, code, id, ok};

fn cancel(
    order: &pb::FulfillmentOrder,
    lines: &[(usize, i64)],
) -> pb::CancelFulfillmentOrderRequest {
    let line = |(index, quantity): &(usize, i64)| pb::CancelLine {
        order_line_id: order.lines[*index].order_line_id.clone(),
        quantity: *quantity,
    };
    pb::CancelFulfillmentOrderRequest {
        request_id: id(),
        fulfillment_order_id: order.fulfillment_order_id.clone(),
        etag: String::new(),
        lines: lines.iter().map(line).collect(),
        reason: "customer asked".to_owned(),
    }
}

async fn send(
    rig: &Rig,
    request: pb::CancelFulfillmentOrderRequest,
) -> Result<pb::CancelFulfillmentOrderResponse, PeerError> {
    ok(rig
        .orders
        .clone()
        .cancel_fulfillment_order(by("service:order", request))
        .await)
}

#[tokio::test]
async fn everything_is_canceled_before_release() {
    let rig = Rig::start().await;
    let order = rig.order(&[("A", 2), ("B", 1)]).await;
    let answer = send(&rig, cancel(&order, &[])).await.unwrap();
    let canceled = answer.fulfillment_order.unwrap();
    assert_eq!(canceled.state(), State::Canceled);
    let lines: Vec<_> = answer
        .canceled_lines
        .iter()
        .map(|line| (line.sku.as_str(), line.quantity))
        .collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.contains(&("A", 2)) && lines.contains(&("B", 1)));
    let line = &answer.canceled_lines[0];
    assert_eq!(line.location_id, WEST);
    assert_eq!(line.reservation_id, order.lines[0].reservation_id);
    assert_eq!(rig.wave(WEST, PickMethod::Single).await.wave_id, "");

    let events = rig.events(&order.fulfillment_order_id, 2).await;
    let Fact::FulfillmentOrderCanceled(fact) = &events[1].1 else {
        panic!("{:?}", events[1])
    };
    assert_eq!((fact.state(), fact.lines.len()), (State::Canceled, 2));
    let again = send(&rig, cancel(&order, &[])).await.unwrap_err();
    assert_eq!(again.reason(), Some(ErrorReason::IllegalTransition));
}

#[tokio::test]
async fn a_part_is_canceled_and_the_rest_goes_on() {
    let rig = Rig::start().await;
    let order = rig.order(&[("A", 5)]).await;
    let answer = send(&rig, cancel(&order, &[(0, 2)])).await.unwrap();
    let kept = answer.fulfillment_order.unwrap();
    assert_eq!((kept.state(), kept.lines[0].canceled), (State::Open, 2));
    let list = rig.released().await;
    assert_eq!(list.lines[0].quantity, 3);
    // More than is left: what is left is canceled.
    let answer = send(&rig, cancel(&order, &[(0, 99)])).await.unwrap();
    assert_eq!(answer.canceled_lines[0].quantity, 3);
    assert_eq!(answer.fulfillment_order.unwrap().state(), State::Canceled);
}

#[tokio::test]
async fn released_work_leaves_the_pick_list() {
    let rig = Rig::start().await;
    let order = rig.order(&[("A", 1), ("B", 2)]).await;
    let list = rig.released().await;
    let answer = send(&rig, cancel(&order, &[(1, 2)])).await.unwrap();
    assert_eq!(answer.canceled_lines.len(), 1);
    let list = rig.pick_list(&list.pick_list_id).await;
    assert_eq!(list.lines[1].state(), PickLineState::Canceled);
    let gone = rig
        .scan(&list.pick_list_id, &code("B"), 1)
        .await
        .unwrap_err();
    assert_eq!(gone.reason(), Some(ErrorReason::QuantityExceedsOpen));
    send(&rig, cancel(&order, &[])).await.unwrap();
    assert_eq!(
        rig.pick_list(&list.pick_list_id).await.state(),
        PickListState::Canceled
    );
    assert_eq!(
        rig.get(&order.fulfillment_order_id).await.state(),
        State::Canceled
    );
}

#[tokio::test]
async fn started_lines_stay() {
    let rig = Rig::start().await;
    let order = rig.order(&[("A", 3), ("B", 2)]).await;
    let list = rig.released().await;
    rig.scan(&list.pick_list_id, &code("A"), 1).await.unwrap();
    let answer = send(&rig, cancel(&order, &[])).await.unwrap();
    let lines: Vec<_> = answer
        .canceled_lines
        .iter()
        .map(|line| (line.sku.as_str(), line.quantity))
        .collect();
    assert_eq!(lines, [("B", 2)]);
    rig.scan(&list.pick_list_id, &code("A"), 2).await.unwrap();
    let picked = rig.get(&order.fulfillment_order_id).await;
    assert_eq!(
        (picked.state(), picked.floor_stage()),
        (State::InProgress, FloorStage::Picked)
    );
    // Nothing is left that nobody has started on: that is an answer, not an error.
    let nothing = send(&rig, cancel(&order, &[])).await.unwrap();
    assert!(nothing.canceled_lines.is_empty());
    assert_eq!(nothing.fulfillment_order.unwrap().etag, picked.etag);
}

#[tokio::test]
async fn a_repeat_answers_the_same_units() {
    let rig = Rig::start().await;
    let order = rig.order(&[("A", 5)]).await;
    let request = cancel(&order, &[(0, 2)]);
    let first = send(&rig, request.clone()).await.unwrap();
    let second = send(&rig, request).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(
        rig.get(&order.fulfillment_order_id).await.lines[0].canceled,
        2
    );
}

#[tokio::test]
async fn lines_must_belong_to_the_work() {
    let rig = Rig::start().await;
    let order = rig.order(&[("A", 1)]).await;
    let mut request = cancel(&order, &[(0, 1)]);
    request.lines.push(pb::CancelLine {
        order_line_id: id(),
        quantity: 1,
    });
    let error = send(&rig, request).await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::ReferenceUnknown));
    assert_eq!(error.violations()[0].field, "lines[1].order_line_id");
    assert_eq!(rig.get(&order.fulfillment_order_id).await, order);
    let mut stale = cancel(&order, &[]);
    stale.etag = "9".to_owned();
    assert_eq!(
        send(&rig, stale).await.unwrap_err().reason(),
        Some(ErrorReason::EtagMismatch)
    );
}
