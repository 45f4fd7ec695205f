//! Cancellations: before and after the confirmation, of units that wait, that are worked on, that were picked.

use std::sync::Arc;

use oms_proto::common::v1::{ErrorReason, FillPolicy};
use oms_proto::fulfillment::v1 as ff;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fulfillment;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::{CancellationState, OrderState};
use oms_service::ApiError;
use tokio::sync::Semaphore;
use tonic::Code;

use crate::exceptions::skip;
use crate::peers::Trick;
use crate::rig::{Rig, filled, id, new_order, usd};

#[tokio::test]
async fn canceling_a_confirmed_order_gives_stock_and_authorization_back() {
    let rig = Rig::start().await;
    let order = rig
        .place(new_order(&[("A", 3), ("B", 1)], "tok_approve"))
        .await;
    rig.until_done(&order.order_id).await;
    rig.cancel(&order, &[]).await.unwrap();
    let order = rig
        .until_canceled(&order.order_id, CancellationState::Completed)
        .await;
    assert_eq!(order.state(), OrderState::Canceled);
    assert_eq!(order.state_reason, "CUSTOMER");
    assert_eq!((rig.peers.free("A"), rig.peers.free("B")), (100, 100));
    assert_eq!(order.lines[0].canceled, 3);
    assert_eq!(order.lines[0].allocated, 0);
    // The void is a task of its own: the provider may take its time.
    rig.until(&order.order_id, "the authorization to be voided", |order| {
        order.totals.as_ref().unwrap().authorized == usd(0)
    })
    .await;
    rig.audit().await;
}

#[tokio::test]
async fn canceling_a_pending_order_unwinds_its_saga() {
    let rig = Rig::start().await;
    let gate = Arc::new(Semaphore::new(0));
    rig.peers.trick("Reserve", Trick::Wait(gate.clone()));
    let order = rig.place_only(new_order(&[("A", 3)], "tok_approve")).await;
    rig.cancel(&order, &[]).await.unwrap();
    gate.add_permits(1);
    let order = rig
        .until_canceled(&order.order_id, CancellationState::Completed)
        .await;
    assert_eq!(order.state(), OrderState::Canceled);
    assert_eq!(order.cancellations[0].lines[0].canceled, 3);
    assert_eq!(rig.peers.free("A"), 100);
    rig.audit().await;
}

#[tokio::test]
async fn a_part_is_canceled_from_the_high_end_and_the_rest_completes() {
    let rig = Rig::start().await;
    let order = rig
        .place(new_order(&[("A", 3), ("B", 1)], "tok_approve"))
        .await;
    rig.until_done(&order.order_id).await;
    // The first answer of each call is lost: asking again changes nothing.
    rig.peers.trick(
        "CancelFulfillmentOrder",
        Trick::Fail(tonic::Status::unavailable("down")),
    );
    rig.peers.trick(
        "ReleaseReservation",
        Trick::Fail(tonic::Status::unavailable("down")),
    );
    rig.cancel(&order, &[1, 0]).await.unwrap();
    let less = rig
        .until_canceled(&order.order_id, CancellationState::Completed)
        .await;
    assert_eq!(less.state(), OrderState::Confirmed);
    assert_eq!((less.lines[0].canceled, less.lines[0].allocated), (1, 2));
    assert_eq!(rig.peers.free("A"), 98);
    for method in ["CancelFulfillmentOrder", "ReleaseReservation"] {
        let calls = rig.peers.calls(method);
        assert_eq!(calls.len(), 2, "{method}");
        assert_eq!(calls[0], calls[1], "{method}");
    }
    let done = rig.complete(&less).await;
    let totals = done.totals.unwrap();
    let owed = totals.total.unwrap().minor_units - totals.canceled.unwrap().minor_units;
    assert_eq!(totals.captured, usd(owed));
    rig.until(&order.order_id, "the rest to be voided", |order| {
        order.totals.as_ref().unwrap().authorized == usd(0)
    })
    .await;
    rig.audit().await;
}

#[tokio::test]
async fn units_that_a_picker_has_started_on_are_not_canceled() {
    let rig = Rig::start().await;
    let order = rig.place(new_order(&[("A", 3)], "tok_approve")).await;
    rig.until_done(&order.order_id).await;
    let refusal = ApiError::illegal_transition(
        "fulfillment_order",
        "IN_PROGRESS",
        "cancel",
        [] as [&str; 0],
    );
    rig.peers
        .trick("CancelFulfillmentOrder", Trick::Fail(refusal.into()));
    rig.cancel(&order, &[2]).await.unwrap();
    let order = rig
        .until_canceled(&order.order_id, CancellationState::Refused)
        .await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(order.lines[0].canceled, 0);
    let legs: Vec<&str> = order.cancellations[0]
        .legs
        .iter()
        .map(|leg| leg.state.as_str())
        .collect();
    assert_eq!(legs, ["REFUSED", "DONE", "REFUSED"]);
    assert_eq!(rig.peers.free("A"), 97);
    rig.complete(&order).await;
    rig.audit().await;
}

#[tokio::test]
async fn units_of_a_batch_that_is_held_are_canceled_without_asking_fulfillment() {
    let rig = Rig::start().await;
    let gate = Arc::new(Semaphore::new(0));
    rig.peers.trick("Reserve", Trick::Wait(gate.clone()));
    let order = rig.place_only(new_order(&[("A", 3)], "tok_approve")).await;
    let hold = pb::PlaceHoldRequest {
        request_id: id(),
        order_id: order.order_id.clone(),
        reason: pb::HoldReason::Manual.into(),
        blocks: vec![pb::HoldBlock::ReleaseToNode.into()],
        ..pb::PlaceHoldRequest::default()
    };
    let hold = rig.hold(hold).await.unwrap();
    gate.add_permits(1);
    let confirmed = |order: &pb::Order| order.state() == OrderState::Confirmed;
    rig.until(&order.order_id, "the confirmation", confirmed)
        .await;
    rig.cancel(&order, &[1]).await.unwrap();
    rig.until_canceled(&order.order_id, CancellationState::Completed)
        .await;
    assert!(rig.peers.calls("CancelFulfillmentOrder").is_empty());
    rig.release_hold(&hold.hold_id).await.unwrap();
    let order = rig.until_done(&order.order_id).await;
    assert_eq!(
        rig.peers.fulfillment_orders(&order.order_id)[0].lines[0].total,
        2
    );
    assert_eq!(rig.peers.free("A"), 98);
    rig.audit().await;
}

#[tokio::test]
async fn units_that_wait_for_stock_are_canceled_first() {
    let rig = Rig::start().await;
    rig.peers.stock("A", 2);
    let order = filled(new_order(&[("A", 5)], "tok_approve"), FillPolicy::FillAll);
    let order = rig.place(order).await;
    rig.until_done(&order.order_id).await;
    rig.cancel(&order, &[4]).await.unwrap();
    let order = rig
        .until_canceled(&order.order_id, CancellationState::Completed)
        .await;
    let line = &order.lines[0];
    assert_eq!((line.canceled, line.backordered, line.allocated), (4, 0, 1));
    assert_eq!(rig.peers.free("A"), 1);
    rig.complete(&order).await;
    rig.audit().await;
}

#[tokio::test]
async fn everything_wrong_with_a_request_is_told_at_once() {
    let rig = Rig::start().await;
    let order = rig.place(new_order(&[("A", 3)], "tok_approve")).await;
    let line = |order_line_id: &str, quantity| pb::CancelOrderLine {
        order_line_id: order_line_id.to_owned(),
        quantity,
    };
    let known = &order.lines[0].order_line_id;
    let request = pb::CancelOrderRequest {
        request_id: id(),
        order_id: order.order_id.clone(),
        lines: vec![line(known, 4), line(&id(), 1), line("x", 1), line(known, 0)],
        reason: "BORED".to_owned(),
        ..pb::CancelOrderRequest::default()
    };
    let answer = rig.api.orders.clone().cancel_order(request).await;
    let error = crate::rig::answered(answer).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let mut reasons: Vec<&str> = error
        .violations()
        .iter()
        .map(|one| one.reason.as_str())
        .collect();
    reasons.sort_unstable();
    let expected = [
        "DUPLICATE",
        "FIELD_MALFORMED",
        "FIELD_MALFORMED",
        "QUANTITY_EXCEEDS_OPEN",
        "QUANTITY_INVALID",
        "REFERENCE_UNKNOWN",
    ];
    assert_eq!(reasons, expected);
    let error = rig.cancel(&order, &[4]).await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::QuantityExceedsOpen));
    assert_eq!(error.metadata("open"), Some("3"));
    assert!(rig.get(&order.order_id).await.cancellations.is_empty());
}

#[tokio::test]
async fn stock_that_came_for_a_backorder_is_handed_to_fulfillment() {
    let rig = Rig::start().await;
    rig.peers.stock("A", 2);
    let order = filled(new_order(&[("A", 5)], "tok_approve"), FillPolicy::FillAll);
    let order = rig.place(order).await;
    rig.until_done(&order.order_id).await;
    let event = rig.tell_backorder_allocated(&rig.peers.reservations(&order.order_id)[0]);
    rig.tell_again(&event);
    let order = rig
        .until(&order.order_id, "the second fulfillment order", |order| {
            order.fulfillment_order_ids.len() == 2
        })
        .await;
    assert_eq!(
        (order.lines[0].allocated, order.lines[0].backordered),
        (5, 0)
    );
    let made = rig.peers.fulfillment_orders(&order.order_id);
    let units: i64 = made
        .iter()
        .flat_map(|one| &one.lines)
        .map(|line| line.total)
        .sum();
    assert_eq!((made.len(), units), (2, 5));
    rig.complete(&order).await;
    rig.audit().await;
}

#[tokio::test]
async fn units_whose_stock_is_not_there_are_called_back() {
    let rig = Rig::start().await;
    let order = filled(new_order(&[("A", 5)], "tok_approve"), FillPolicy::FillAll);
    let order = rig.place(order).await;
    rig.until_done(&order.order_id).await;
    let displaced = rig.peers.displace(&order.order_id, 2);
    let event = rig.tell_reservation(&displaced, "displace");
    rig.tell_again(&event);
    let less = rig
        .until(&order.order_id, "the units to wait", |order| {
            order.lines[0].backordered == 2
        })
        .await;
    assert_eq!((less.lines[0].allocated, less.lines[0].canceled), (3, 0));
    let canceled = || {
        let made = rig.peers.fulfillment_orders(&order.order_id);
        made.iter()
            .flat_map(|one| &one.lines)
            .map(|line| line.canceled)
            .sum::<i64>()
    };
    oms_testkit::wait_for("the units to be called back", || async {
        match canceled() {
            2 => Ok(()),
            other => Err(format!("{other} units")),
        }
    })
    .await;
    // Stock comes: they go to fulfillment anew, and only they.
    rig.tell_backorder_allocated(&displaced);
    let order = rig
        .until(&order.order_id, "the second fulfillment order", |order| {
            order.fulfillment_order_ids.len() == 2
        })
        .await;
    let made = rig.peers.fulfillment_orders(&order.order_id);
    let lines = made.iter().flat_map(|one| &one.lines);
    let live: i64 = lines.map(|line| line.total - line.canceled).sum();
    assert_eq!((live, canceled()), (5, 2));
    assert!(order.holds.is_empty());
    rig.audit().await;
}

#[tokio::test]
async fn what_is_picked_already_holds_the_order_until_a_person_has_looked() {
    let rig = Rig::start().await;
    let order = filled(new_order(&[("A", 5)], "tok_approve"), FillPolicy::FillAll);
    let order = rig.place(order).await;
    rig.until_done(&order.order_id).await;
    rig.peers.pick(&order.order_id, 4);
    let displaced = rig.peers.displace(&order.order_id, 2);
    rig.tell_reservation(&displaced, "displace");
    let held = rig
        .until(&order.order_id, "the hold", |order| !order.holds.is_empty())
        .await;
    assert_eq!(held.holds[0].reason(), pb::HoldReason::InventoryOutOfStock);
    assert!(
        held.holds[0].note.starts_with("1 units"),
        "{:?}",
        held.holds
    );
    rig.audit().await;
}

#[tokio::test]
async fn an_order_of_more_than_may_wait_is_rejected_and_a_short_one_canceled() {
    let rig = Rig::start().await;
    rig.peers.stock("A", 3);
    let mut urgent = filled(new_order(&[("A", 3)], "tok_approve"), FillPolicy::FillAll);
    urgent.priority = Some(1);
    let order = rig.place(urgent).await;
    assert_eq!(rig.peers.reservations(&order.order_id)[0].priority, 1);
    rig.peers.fill_queue();
    rig.tell_fulfillment(&id(), unfillable(&order, 1));
    let less = rig
        .until_canceled(&order.order_id, CancellationState::Completed)
        .await;
    assert_eq!((less.lines[0].canceled, less.lines[0].backordered), (1, 0));
    assert_eq!(less.cancellations[0].reason, "OUT_OF_STOCK");

    let order = filled(new_order(&[("A", 1)], "tok_approve"), FillPolicy::FillAll);
    let order = rig.place(order).await;
    let order = rig.until_done(&order.order_id).await;
    assert_eq!(order.state(), pb::OrderState::Rejected);
    rig.audit().await;
}

fn unfillable(order: &pb::Order, quantity: i64) -> Fulfillment {
    Fulfillment::ShortResolved(ff::ShortResolved {
        fulfillment_order_id: id(),
        order_id: order.order_id.clone(),
        order_line_id: order.lines[0].order_line_id.clone(),
        sku: "A".to_owned(),
        quantity,
        resolution: ff::ShortResolution::Unfillable.into(),
        reservation_id: String::new(),
    })
}

#[tokio::test]
async fn units_that_no_location_has_are_canceled_or_wait_by_the_fill_policy() {
    let rig = Rig::start().await;
    let order = rig.place(new_order(&[("A", 3)], "tok_approve")).await;
    let event = rig.tell_fulfillment(&id(), unfillable(&order, 2));
    rig.tell_again(&event);
    let less = rig
        .until_canceled(&order.order_id, CancellationState::Completed)
        .await;
    assert_eq!(less.lines[0].canceled, 2);
    assert_eq!(less.cancellations[0].reason, "OUT_OF_STOCK");

    let order = filled(new_order(&[("A", 3)], "tok_approve"), FillPolicy::FillAll);
    let order = rig.place(order).await;
    rig.peers.stock("A", 0);
    rig.tell_fulfillment(&id(), unfillable(&order, 1));
    let waits = rig
        .until(&order.order_id, "the unit to wait", |order| {
            order.lines[0].backordered == 1
        })
        .await;
    assert_eq!(waits.lines[0].canceled, 0);
    assert!(waits.cancellations.is_empty());
}

#[tokio::test]
async fn picking_and_packing_are_counted_once() {
    let rig = Rig::start().await;
    let order = rig.place(new_order(&[("A", 3)], "tok_approve")).await;
    let order_line_id = order.lines[0].order_line_id.clone();
    let work = id();
    let picked = Fulfillment::FulfillmentOrderPicked(ff::FulfillmentOrderPicked {
        fulfillment_order_id: work.clone(),
        order_id: order.order_id.clone(),
        lines: vec![ff::LineProgress {
            order_line_id: order_line_id.clone(),
            quantity: 2,
            picked: 2,
            packed: 0,
        }],
    });
    let event = rig.tell_fulfillment(&work, picked);
    rig.tell_again(&event);
    let packed = Fulfillment::FulfillmentOrderPacked(ff::FulfillmentOrderPacked {
        fulfillment_order_id: work.clone(),
        order_id: order.order_id.clone(),
        packages: vec![ff::PackedPackage {
            lines: vec![ff::PackedLine {
                order_line_id,
                quantity: 2,
                ..ff::PackedLine::default()
            }],
            ..ff::PackedPackage::default()
        }],
        ..ff::FulfillmentOrderPacked::default()
    });
    rig.tell_fulfillment(&work, packed);
    let order = rig
        .until(&order.order_id, "the packing", |order| {
            order.lines[0].packed == 2
        })
        .await;
    assert_eq!(order.lines[0].picked, 2);
    rig.audit().await;
}

#[tokio::test]
async fn units_that_got_stock_while_they_were_canceled_are_not_shipped() {
    let rig = Rig::start().await;
    rig.peers.stock("A", 2);
    let order = filled(new_order(&[("A", 5)], "tok_approve"), FillPolicy::FillAll);
    let order = rig.place(order).await;
    rig.until_done(&order.order_id).await;
    // The cancellation stands still at its first question; stock comes meanwhile.
    let gate = Arc::new(Semaphore::new(0));
    rig.peers
        .trick("ReleaseReservation", Trick::Wait(gate.clone()));
    rig.cancel(&order, &[]).await.unwrap();
    rig.until(&order.order_id, "the cancellation to run", |order| {
        order.cancellations[0].state() == CancellationState::InProgress
    })
    .await;
    rig.tell_backorder_allocated(&rig.peers.serve(&order.order_id));
    rig.until(&order.order_id, "the stock", |order| {
        order.lines[0].allocated == 5
    })
    .await;
    gate.add_permits(9);
    let order = rig
        .until_canceled(&order.order_id, CancellationState::Completed)
        .await;
    assert_eq!(order.state(), OrderState::Canceled);
    assert_eq!(rig.peers.fulfillment_orders(&order.order_id).len(), 1);
    rig.audit().await;
}

#[tokio::test]
async fn a_cancellation_and_the_saga_do_not_lock_each_other_out() {
    let rig = Rig::start().await;
    for _ in 0..20 {
        let order = rig.place_only(new_order(&[("A", 1)], "tok_approve")).await;
        rig.cancel(&order, &[]).await.unwrap();
        rig.until_canceled(&order.order_id, CancellationState::Completed)
            .await;
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(rig.count(deadlocks).await, 0);
}

#[tokio::test]
async fn a_cancellation_that_is_given_up_ends_and_lets_the_rest_go_on() {
    let rig = Rig::start().await;
    rig.peers.stock("A", 2);
    let order = filled(new_order(&[("A", 5)], "tok_approve"), FillPolicy::FillAll);
    let order = rig.place(order).await;
    rig.until_done(&order.order_id).await;
    let defect = tonic::Status::invalid_argument("a defect");
    rig.peers.trick("ReleaseReservation", Trick::Fail(defect));
    rig.cancel(&order, &[1]).await.unwrap();
    let parked = rig.exception("run_cancellation").await;
    skip(&rig, &parked.exception_id).await.unwrap();
    let order = rig
        .until_canceled(&order.order_id, CancellationState::Refused)
        .await;
    // What waited behind it is handed over when its stock comes.
    rig.tell_backorder_allocated(&rig.peers.serve(&order.order_id));
    rig.until(&order.order_id, "the rest to be released", |order| {
        order.fulfillment_order_ids.len() == 2
    })
    .await;
    rig.cancel(&order, &[2]).await.unwrap();
    rig.until(&order.order_id, "another cancellation to end", |order| {
        order.cancellations.len() == 2
            && order.cancellations[1].state() == CancellationState::Completed
    })
    .await;
    rig.audit().await;
}
