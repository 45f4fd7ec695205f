//! From placed to confirmed and released, and the ways in which that ends early.

use oms_proto::common::v1::{ErrorReason, FillPolicy};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::OrderState;
use tonic::Code;

use crate::peers::Trick;
use crate::rig::{Rig, filled, new_order, request, usd};

#[tokio::test]
async fn an_order_is_priced_reserved_paid_confirmed_and_released() {
    let rig = Rig::start().await;
    let placed = rig
        .place(new_order(&[("A", 3), ("B", 2)], "tok_approve"))
        .await;
    assert_eq!(placed.state(), OrderState::Confirmed);
    assert!(
        placed.order_number.starts_with("W-"),
        "{}",
        placed.order_number
    );
    assert_eq!(
        (placed.saga_step.as_str(), placed.state_reason.as_str()),
        ("", "")
    );

    let order = rig.until_done(&placed.order_id).await;
    let totals = order.totals.clone().unwrap();
    assert_eq!(totals.subtotal, usd(5_000));
    assert_eq!(totals.tax, usd(500));
    assert_eq!(totals.shipping, usd(500));
    assert_eq!(totals.total, usd(6_000));
    assert_eq!((totals.authorized, totals.captured), (usd(6_000), usd(0)));
    assert_eq!(order.authorize_status(), pb::AuthorizeStatus::Full);
    assert_eq!(order.charge_status(), pb::ChargeStatus::None);
    assert_eq!(order.phase, "RELEASED");
    let units: Vec<(i64, i64)> = order
        .lines
        .iter()
        .map(|line| (line.held, line.allocated))
        .collect();
    assert_eq!(units, [(0, 3), (0, 2)]);
    assert_eq!(order.lines[0].name, "Item A");
    assert_eq!(order.fulfillment_order_ids.len(), 1);

    assert_eq!((rig.peers.free("A"), rig.peers.free("B")), (97, 98));
    let released = rig.peers.fulfillment_orders(&order.order_id);
    let totals: Vec<i64> = released[0].lines.iter().map(|line| line.total).collect();
    assert_eq!(totals, [3, 2]);
    let done = rig.actions(&order.order_id).await;
    assert_eq!(
        done,
        [
            "place_order",
            "reserve",
            "authorize_payment",
            "confirm",
            "release"
        ]
    );
    rig.audit().await;
}

#[tokio::test]
async fn a_caller_that_does_not_wait_is_answered_pending_and_the_saga_goes_on() {
    let rig = Rig::start().await;
    let placed = rig.place_only(new_order(&[("A", 1)], "tok_approve")).await;
    assert_eq!(placed.state(), OrderState::Pending);
    assert_eq!(placed.phase, "PENDING");
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    rig.audit().await;
}

#[tokio::test]
async fn a_declined_card_rejects_the_order_and_gives_the_stock_back() {
    let rig = Rig::start().await;
    for (token, code) in [
        ("tok_decline", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
    ] {
        let placed = rig.place(new_order(&[("A", 2)], token)).await;
        let order = rig.until_done(&placed.order_id).await;
        assert_eq!(order.state(), OrderState::Rejected);
        assert_eq!(order.state_reason, "PAYMENT_DECLINED");
        assert_eq!(order.lines[0].held, 0);
        let entries = rig.timeline(&order.order_id).await;
        let told = entries.iter().any(|entry| entry.detail.contains(code));
        assert!(told, "{code}: {entries:?}");
    }
    assert_eq!(rig.peers.free("A"), 100);
    assert_eq!(rig.peers.calls("CreateFulfillmentOrders").len(), 0);
    rig.audit().await;
}

#[tokio::test]
async fn an_order_that_stock_does_not_cover_is_rejected_and_nobody_is_charged() {
    let rig = Rig::start().await;
    let placed = rig
        .place(new_order(&[("A", 1), ("B", 101)], "tok_approve"))
        .await;
    assert_eq!(placed.state(), OrderState::Rejected);
    assert_eq!(placed.state_reason, "OUT_OF_STOCK");
    assert_eq!((rig.peers.free("A"), rig.peers.free("B")), (100, 100));
    assert_eq!(rig.count("SELECT count(*) FROM payments").await, 0);
    rig.until_done(&placed.order_id).await;
    rig.audit().await;
}

#[tokio::test]
async fn two_lines_of_one_sku_do_not_pass_twice() {
    let rig = Rig::start().await;
    let placed = rig
        .place(new_order(&[("A", 60), ("A", 60)], "tok_approve"))
        .await;
    assert_eq!(placed.state(), OrderState::Rejected);
    assert_eq!(rig.peers.free("A"), 100);
}

#[tokio::test]
async fn fill_all_backorders_the_rest_and_authorizes_all_of_it() {
    let rig = Rig::start().await;
    let order = filled(new_order(&[("A", 130)], "tok_approve"), FillPolicy::FillAll);
    let placed = rig.place(order).await;
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    let line = &order.lines[0];
    assert_eq!(
        (line.allocated, line.backordered, line.canceled),
        (100, 30, 0)
    );
    assert_eq!(
        order.totals.unwrap().authorized,
        usd(130_000 + 13_000 + 500)
    );
    assert_eq!(order.phase, "BACKORDERED");
    let released = rig.peers.fulfillment_orders(&order.order_id);
    assert_eq!(released[0].lines[0].total, 100);
    rig.audit().await;
}

#[tokio::test]
async fn an_order_that_ships_complete_is_not_released_while_units_are_backordered() {
    let rig = Rig::start().await;
    let mut order = filled(new_order(&[("A", 130)], "tok_approve"), FillPolicy::FillAll);
    order.ship_complete = true;
    let placed = rig.place(order).await;
    assert_eq!(placed.state(), OrderState::Confirmed);
    let waits = |row: &str| row.starts_with("WAITING release");
    oms_testkit::wait_for("the saga to wait", || async {
        let row = rig.saga_row(&placed.order_id).await;
        if waits(&row) { Ok(()) } else { Err(row) }
    })
    .await;
    assert_eq!(rig.peers.calls("CreateFulfillmentOrders").len(), 0);
    rig.audit().await;
}

#[tokio::test]
async fn fill_all_available_cancels_the_rest_and_charges_what_is_there() {
    let rig = Rig::start().await;
    let policy = FillPolicy::FillAllAvailable;
    let order = filled(new_order(&[("A", 130), ("B", 1)], "tok_approve"), policy);
    let placed = rig.place(order).await;
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    let line = &order.lines[0];
    assert_eq!(
        (line.allocated, line.backordered, line.canceled),
        (100, 0, 30)
    );
    let totals = order.totals.clone().unwrap();
    let owed = totals.total.unwrap().minor_units - totals.canceled.unwrap().minor_units;
    assert_eq!(totals.authorized, usd(owed));
    assert_eq!(order.authorize_status(), pb::AuthorizeStatus::Full);
    let canceled = &order.cancellations[0];
    assert_eq!(canceled.state(), pb::CancellationState::Completed);
    assert_eq!(
        (canceled.reason.as_str(), canceled.lines[0].canceled),
        ("OUT_OF_STOCK", 30)
    );
    rig.audit().await;
}

#[tokio::test]
async fn fill_all_available_with_nothing_available_is_rejected() {
    let rig = Rig::start().await;
    rig.peers.stock("A", 0);
    let order = filled(
        new_order(&[("A", 1)], "tok_approve"),
        FillPolicy::FillAllAvailable,
    );
    let placed = rig.place(order).await;
    assert_eq!(placed.state(), OrderState::Rejected);
    assert_eq!(placed.state_reason, "OUT_OF_STOCK");
    assert_eq!(rig.count("SELECT count(*) FROM payments").await, 0);
    rig.audit().await;
}

#[tokio::test]
async fn a_channel_without_payment_asks_for_none() {
    let rig = Rig::start().await;
    rig.channel(|channel| channel.payment_policy = pb::PaymentPolicy::None.into())
        .await;
    let mut order = new_order(&[("A", 1)], "");
    order.payment_method = None;
    let placed = rig.place(order).await;
    assert_eq!(placed.state(), OrderState::Confirmed);
    assert_eq!(rig.count("SELECT count(*) FROM payments").await, 0);
    rig.until_done(&placed.order_id).await;
    rig.audit().await;
}

#[tokio::test]
async fn an_order_of_nothing_but_gifts_needs_no_authorization() {
    let rig = Rig::start().await;
    let mut order = new_order(&[("A", 1)], "tok_decline");
    order.lines[0].unit_price = usd(0);
    order.shipping_charge = None;
    let placed = rig.place(order).await;
    assert_eq!(placed.state(), OrderState::Confirmed);
    assert_eq!(placed.authorize_status(), pb::AuthorizeStatus::Full);
    rig.until_done(&placed.order_id).await;
    rig.audit().await;
}

#[tokio::test]
async fn an_external_reference_belongs_to_one_order_of_the_channel() {
    let rig = Rig::start().await;
    let mut order = new_order(&[("A", 1)], "tok_approve");
    order.external_reference = "CA-2016-152156".to_owned();
    let first = rig.place(order.clone()).await;
    let again = rig
        .try_place(request(order.clone(), pb::WaitFor::Pending))
        .await;
    let error = again.unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    assert_eq!(error.reason(), Some(ErrorReason::ExternalReferenceTaken));
    assert_eq!(error.metadata("order_id"), Some(first.order_id.as_str()));
    let by_reference = pb::GetOrderRequest {
        channel_id: order.channel_id,
        external_reference: order.external_reference,
        ..pb::GetOrderRequest::default()
    };
    let found = rig
        .api
        .orders
        .clone()
        .get_order(by_reference)
        .await
        .unwrap();
    assert_eq!(found.into_inner().order.unwrap().order_id, first.order_id);
    assert_eq!(rig.count("SELECT count(*) FROM orders").await, 1);
}

#[tokio::test]
async fn fifty_callers_with_one_external_reference_place_one_order() {
    let rig = Rig::start().await;
    let mut order = new_order(&[("A", 1)], "tok_approve");
    order.external_reference = "one".to_owned();
    let calls = (0..50).map(|_| rig.try_place(request(order.clone(), pb::WaitFor::Pending)));
    let answers = futures::future::join_all(calls).await;
    let placed = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(placed, 1);
    for error in answers.into_iter().filter_map(Result::err) {
        assert_eq!(error.reason(), Some(ErrorReason::ExternalReferenceTaken));
    }
}

#[tokio::test]
async fn inventory_that_is_down_makes_placing_unavailable_and_nothing_is_written() {
    let rig = Rig::start().await;
    let down = tonic::Status::unavailable("connection refused");
    rig.peers.trick("BatchGetItems", Trick::Fail(down));
    let order = new_order(&[("A", 1)], "tok_approve");
    let error = rig
        .try_place(request(order, pb::WaitFor::Pending))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(error.metadata("peer"), Some("inventory"));
    assert_eq!(rig.count("SELECT count(*) FROM orders").await, 0);
}

#[tokio::test]
async fn validate_order_prices_without_writing() {
    let rig = Rig::start().await;
    let order = Some(new_order(&[("A", 3)], "tok_approve"));
    let answer = rig
        .api
        .orders
        .clone()
        .validate_order(pb::ValidateOrderRequest { order })
        .await;
    let priced = answer.unwrap().into_inner().order.unwrap();
    assert_eq!(priced.totals.unwrap().total, usd(3_000 + 300 + 500));
    assert_eq!(
        (priced.order_id.as_str(), priced.order_number.as_str()),
        ("", "")
    );
    assert_eq!(rig.count("SELECT count(*) FROM orders").await, 0);
}

#[tokio::test]
async fn the_address_is_answered_for_printing_and_stands_nowhere_else() {
    let rig = Rig::start().await;
    let mut order = new_order(&[("A", 1)], "tok_approve");
    order.lines[0].gift_message = "Dear aunt Mabel".to_owned();
    let placed = rig.place(order).await;
    assert_eq!(placed.lines[0].gift_message, "Dear aunt Mabel");
    let address_id = placed.destination.unwrap().address_id;
    let request = pb::GetOrderAddressRequest { address_id };
    let answer = rig
        .api
        .orders
        .clone()
        .get_order_address(request)
        .await
        .unwrap();
    assert_eq!(
        answer.into_inner().address.unwrap().recipient,
        "Claire Gute"
    );
    rig.until_done(&placed.order_id).await;
    let mut conn = rig.db.connect().await;
    let payloads: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT payload FROM feed UNION ALL SELECT payload FROM outbox")
            .fetch_all(&mut conn)
            .await
            .unwrap();
    assert!(payloads.len() > 4);
    let says = |payload: &[u8], text: &str| {
        payload
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    for payload in payloads {
        assert!(
            !says(&payload, "Claire") && !says(&payload, "Main St") && !says(&payload, "Mabel")
        );
    }
}
