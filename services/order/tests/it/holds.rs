//! Holds: what they stop, and what goes on when they end.

use std::time::Duration;

use oms_core::Clock;
use oms_proto::common::v1::ErrorReason;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::{HoldBlock, HoldReason, OrderState};
use oms_proto::time_to_proto;
use tonic::Code;

use crate::rig::{Rig, id, new_order};

fn hold(order: &pb::Order, blocks: &[HoldBlock]) -> pb::PlaceHoldRequest {
    pb::PlaceHoldRequest {
        request_id: id(),
        order_id: order.order_id.clone(),
        reason: HoldReason::CustomerRequest.into(),
        blocks: blocks.iter().map(|block| (*block).into()).collect(),
        note: "calls back tomorrow".to_owned(),
        ..pb::PlaceHoldRequest::default()
    }
}

/// An order of an outlier quantity, which waits behind the hold that screening placed.
async fn held_order(rig: &Rig) -> pb::Order {
    rig.channel(|channel| channel.outlier_quantity = 10).await;
    let placed = rig.place(new_order(&[("A", 11)], "tok_approve")).await;
    assert_eq!(placed.state(), OrderState::Pending);
    rig.until(&placed.order_id, "the order to be held", |order| {
        order.phase == "ON_HOLD" && order.lines[0].held == 11
    })
    .await
}

#[tokio::test]
async fn an_outlier_waits_with_its_stock_held_and_goes_on_when_released() {
    let rig = Rig::start().await;
    let order = held_order(&rig).await;
    let found = &order.holds[0];
    assert_eq!(found.reason(), HoldReason::QuantityOutlier);
    assert_eq!(found.placed_by, "service:order");
    assert_eq!(rig.peers.free("A"), 89);
    assert_eq!(rig.count("SELECT count(*) FROM payments").await, 0);

    let released = rig.release_hold(&found.hold_id).await.unwrap();
    assert_eq!(released.state(), pb::HoldState::Released);
    assert_eq!(released.released_by, "user:dev");
    let order = rig.until_done(&order.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(order.lines[0].allocated, 11);
    rig.audit().await;
}

#[tokio::test]
async fn a_held_reservation_is_extended_then_given_back_and_taken_again() {
    let rig = Rig::start().await;
    let order = held_order(&rig).await;
    // Half of the time to live before it runs out, it is extended.
    rig.clock.advance(Duration::from_mins(8));
    let extended = || async {
        match rig.peers.calls("ExtendReservation").len() {
            0 => Err("not extended".to_owned()),
            _ => Ok(()),
        }
    };
    oms_testkit::wait_for("the reservation to be extended", extended).await;
    assert_eq!(rig.peers.free("A"), 89);
    // After the longest time it is given back; the order still waits.
    rig.clock.advance(Duration::from_hours(2));
    let order = rig
        .until(&order.order_id, "the stock to be given back", |order| {
            order.lines[0].held == 0
        })
        .await;
    assert_eq!(order.state(), OrderState::Pending);
    assert_eq!(rig.peers.free("A"), 100);
    rig.release_hold(&order.holds[0].hold_id).await.unwrap();
    let order = rig.until_done(&order.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(rig.peers.reservations(&order.order_id).len(), 2);
    assert_eq!(rig.peers.free("A"), 89);
    rig.audit().await;
}

#[tokio::test]
async fn a_hold_that_is_never_released_lets_the_order_expire() {
    let rig = Rig::start().await;
    let order = held_order(&rig).await;
    rig.clock.advance(Duration::from_hours(24 * 4));
    let order = rig.until_done(&order.order_id).await;
    assert_eq!(order.state(), OrderState::Expired);
    assert_eq!(order.state_reason, "NOT_CONFIRMED_IN_TIME");
    assert_eq!(rig.peers.free("A"), 100);
    rig.audit().await;
}

#[tokio::test]
async fn a_hold_ends_by_itself_at_its_time() {
    let rig = Rig::start().await;
    let order = held_order(&rig).await;
    rig.release_hold(&order.holds[0].hold_id).await.unwrap();
    // Two more: one ends in an hour, one is released by hand.
    let confirmed = rig.until_done(&order.order_id).await;
    let mut timed = hold(&confirmed, &[HoldBlock::Capture]);
    timed.release_at = Some(time_to_proto(rig.clock.now() + Duration::from_hours(1)));
    let timed = rig.hold(timed).await.unwrap();
    rig.clock.advance(Duration::from_mins(61));
    let order = rig
        .until(&order.order_id, "the hold to end", |order| {
            order
                .holds
                .iter()
                .all(|hold| hold.state() == pb::HoldState::Released)
        })
        .await;
    let ended = order
        .holds
        .iter()
        .find(|hold| hold.hold_id == timed.hold_id)
        .unwrap();
    assert_eq!(ended.released_by, "service:order");
    rig.audit().await;
}

#[tokio::test]
async fn a_hold_on_the_release_stops_fulfillment_orders_only() {
    let rig = Rig::start().await;
    let order = held_order(&rig).await;
    let second = rig
        .hold(hold(&order, &[HoldBlock::ReleaseToNode]))
        .await
        .unwrap();
    rig.release_hold(&order.holds[0].hold_id).await.unwrap();
    let order = rig
        .until(&order.order_id, "the order to be confirmed", |order| {
            order.state() == OrderState::Confirmed
        })
        .await;
    assert_eq!(order.phase, "ON_HOLD");
    assert_eq!(rig.peers.calls("CreateFulfillmentOrders").len(), 0);
    rig.release_hold(&second.hold_id).await.unwrap();
    let order = rig.until_done(&order.order_id).await;
    assert_eq!(order.fulfillment_order_ids.len(), 1);
    rig.audit().await;
}

#[tokio::test]
async fn holds_are_listed_oldest_first_by_order_and_activity() {
    let rig = Rig::start().await;
    let order = held_order(&rig).await;
    let placed = rig.hold(hold(&order, &[])).await.unwrap();
    assert_eq!(
        placed.blocks,
        [HoldBlock::Confirm as i32, HoldBlock::ReleaseToNode as i32]
    );
    rig.release_hold(&placed.hold_id).await.unwrap();
    let list = |active_only, page_size, page_token| {
        let request = pb::ListHoldsRequest {
            order_id: order.order_id.clone(),
            active_only,
            page_size,
            page_token,
        };
        let mut holds = rig.api.holds.clone();
        async move { holds.list_holds(request).await.unwrap().into_inner() }
    };
    let active = list(true, 0, String::new()).await;
    assert_eq!(active.holds.len(), 1);
    let first = list(false, 1, String::new()).await;
    assert_eq!(first.holds[0].hold_id, order.holds[0].hold_id);
    let second = list(false, 1, first.next_page_token).await;
    assert_eq!(second.holds[0].hold_id, placed.hold_id);
    assert_eq!(second.next_page_token, "");
}

#[tokio::test]
async fn a_hold_ends_once_and_an_ended_order_takes_none() {
    let rig = Rig::start().await;
    let order = held_order(&rig).await;
    let hold_id = order.holds[0].hold_id.clone();
    rig.release_hold(&hold_id).await.unwrap();
    let error = rig.release_hold(&hold_id).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(error.reason(), Some(ErrorReason::IllegalTransition));
    assert_eq!(error.illegal_transition().unwrap().aggregate, "hold");

    let rejected = rig.place(new_order(&[("A", 2)], "tok_decline")).await;
    let rejected = rig.until_done(&rejected.order_id).await;
    let error = rig.hold(hold(&rejected, &[])).await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::IllegalTransition));
    let illegal = error.illegal_transition().unwrap();
    assert_eq!(
        (illegal.state.as_str(), illegal.action.as_str()),
        ("REJECTED", "place_hold")
    );
}
