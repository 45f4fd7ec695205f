//! Authorizations that run out: renewed before that, and what happens when the renewal is declined or comes too late.

use std::time::Duration;

use oms_proto::order::v1 as pb;
use oms_proto::order::v1::{HoldReason, HoldState, OrderState, PaymentKind, PaymentState};
use oms_testkit::wait_for;
use serde_json::json;

use crate::money::{captured, total};
use crate::rig::{Rig, new_order, usd};

/// Half of an hour's authorization and a bit.
const DUE: Duration = Duration::from_mins(31);

/// A confirmed order of two units whose authorization lasts an hour.
async fn place(rig: &Rig) -> pb::Order {
    let placed = rig.place(new_order(&[("A", 2)], "tok_expires_3600")).await;
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    order
}

/// Kind, cause, amount, state and failure of an order's payments, sorted, without what stands for ids in their causes.
async fn ledger(rig: &Rig, order_id: &str) -> Vec<String> {
    let all = rig.payments(order_id).await;
    let mut told: Vec<String> = all
        .iter()
        .map(|one| {
            let (cause, attempt) = one.cause.split_once('#').unwrap_or((&one.cause, ""));
            let cause = cause.split('/').next().unwrap_or_default();
            let minor = one.amount.as_ref().unwrap().minor_units;
            let (kind, state) = (one.kind().as_str_name(), one.state().as_str_name());
            let short = |name: &str| name.rsplit('_').next().unwrap().to_lowercase();
            let text = format!(
                "{} {cause} {attempt} {minor} {} {}",
                short(kind),
                short(state),
                one.failure_code
            );
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        })
        .collect();
    told.sort_unstable();
    told
}

async fn until_ledger(rig: &Rig, order_id: &str, expected: &[&str]) {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    wait_for("the payments", || async {
        rig.clock.advance(Duration::from_millis(250));
        let ledger = ledger(rig, order_id).await;
        if ledger == expected {
            Ok(())
        } else {
            Err(format!("{ledger:#?}"))
        }
    })
    .await;
}

/// Waits until a renewal was declined and is parked; the clock goes on until it is due.
async fn until_declined(rig: &Rig) -> pb::Exception {
    decline_next(rig).await;
    rig.clock.advance(DUE);
    rig.exception("renew_authorization").await
}

async fn decline_next(rig: &Rig) {
    let fault = json!({"kind": "decline", "operation": "authorize", "times": 1});
    rig.provider.fault(fault).await;
}

async fn hold_of(rig: &Rig, order_id: &str, reason: HoldReason) -> Option<pb::Hold> {
    let request = pb::ListHoldsRequest {
        order_id: order_id.to_owned(),
        ..pb::ListHoldsRequest::default()
    };
    let answer = rig.api.holds.clone().list_holds(request).await.unwrap();
    let holds = answer.into_inner().holds;
    holds.into_iter().find(|hold| hold.reason() == reason)
}

#[tokio::test]
async fn an_authorization_is_renewed_before_its_end_and_the_capture_goes_over_the_new_one() {
    let rig = Rig::start().await;
    let order = place(&rig).await;
    let id = &order.order_id;
    let first = rig.payments(id).await.remove(0);
    let lasts = first.expire_time.unwrap().seconds - first.create_time.unwrap().seconds;
    assert!((3_599..=3_600).contains(&lasts), "{lasts}");
    rig.clock.advance(DUE);
    let renewed = [
        "authorization order 2700 succeeded",
        "authorization renewal 2700 succeeded",
        "void order 2700 succeeded",
    ];
    until_ledger(&rig, id, &renewed).await;
    assert_eq!(rig.get(id).await.totals.unwrap().authorized, usd(2_700));
    // The old one is over by now, and the new one is due for a renewal of its own.
    rig.clock.advance(DUE);
    rig.ship(&order, &[2]);
    rig.until(id, "the capture", |order| captured(order) == total(order))
        .await;
    rig.rest().await;
    let late = rig.payments(id).await;
    let lapsed = late.iter().filter(|one| !one.failure_code.is_empty());
    assert_eq!(lapsed.count(), 0, "{late:#?}");
    rig.audit().await;
}

#[tokio::test]
async fn a_renewal_whose_answer_is_lost_happens_once() {
    let rig = Rig::start().await;
    let order = place(&rig).await;
    let fault = json!({"kind": "lose_reply", "operation": "authorize", "times": 1});
    rig.provider.fault(fault).await;
    rig.clock.advance(DUE);
    let renewed = [
        "authorization order 2700 succeeded",
        "authorization renewal 2700 succeeded",
        "void order 2700 succeeded",
    ];
    until_ledger(&rig, &order.order_id, &renewed).await;
    assert_eq!(rig.charges().await, 3);
    rig.audit().await;
}

#[tokio::test]
async fn a_declined_renewal_holds_the_order_with_its_stock_until_one_works() {
    let rig = Rig::start().await;
    let order = place(&rig).await;
    let id = &order.order_id;
    let parked = until_declined(&rig).await;
    assert!(
        parked.reason.ends_with("declined: card_declined"),
        "{}",
        parked.reason
    );
    assert_eq!(parked.supported_actions, ["retry", "skip"]);
    let hold = hold_of(&rig, id, HoldReason::AwaitingPayment)
        .await
        .unwrap();
    assert_eq!(hold.state(), HoldState::Active);
    assert!(hold.note.contains("card_declined"), "{}", hold.note);
    assert_eq!(rig.peers.free("A"), 98, "the stock stays allocated");
    rig.retry(&parked.exception_id).await.unwrap();
    let renewed = [
        "authorization order 2700 succeeded",
        "authorization renewal 2700 failed card_declined",
        "authorization renewal 2 2700 succeeded",
        "void order 2700 succeeded",
    ];
    until_ledger(&rig, id, &renewed).await;
    rig.rest().await;
    let hold = hold_of(&rig, id, HoldReason::AwaitingPayment)
        .await
        .unwrap();
    assert_eq!(hold.state(), HoldState::Released);
    assert!(rig.exceptions().await.is_empty());
    rig.complete(&order).await;
    rig.audit().await;
}

#[tokio::test]
async fn what_ships_after_the_end_is_authorized_again_before_its_capture() {
    let rig = Rig::start().await;
    let order = place(&rig).await;
    let id = &order.order_id;
    until_declined(&rig).await;
    rig.clock.advance(DUE);
    rig.ship(&order, &[1]);
    let part = captured_part(&rig, id).await;
    let all = [
        "authorization order 2700 succeeded".to_owned(),
        "authorization renewal 2700 failed card_declined".to_owned(),
        format!("capture shipment {part} failed authorization_lapsed"),
        format!("authorization capture {part} succeeded"),
        format!("capture shipment 2 {part} succeeded"),
    ];
    until_ledger(&rig, id, &all.each_ref().map(String::as_str)).await;
    rig.audit().await;
}

/// Waits for the first capture that succeeds; answers its amount.
async fn captured_part(rig: &Rig, order_id: &str) -> i64 {
    let order = rig
        .until(order_id, "a capture", |order| captured(order) > 0)
        .await;
    captured(&order)
}

#[tokio::test]
async fn a_late_capture_that_gets_no_authorization_waits_for_a_person() {
    let rig = Rig::start().await;
    let order = place(&rig).await;
    let id = &order.order_id;
    until_declined(&rig).await;
    rig.clock.advance(DUE);
    decline_next(&rig).await;
    rig.ship(&order, &[2]);
    let parked = rig.exception("capture_payment").await;
    let why = "the authorization had ended, and a new one: card_declined";
    assert!(parked.reason.ends_with(why), "{}", parked.reason);
    let hold = hold_of(&rig, id, HoldReason::CaptureFailed).await.unwrap();
    assert_eq!(hold.state(), HoldState::Active);
    rig.retry(&parked.exception_id).await.unwrap();
    rig.until(id, "the capture", |order| captured(order) == total(order))
        .await;
    rig.rest().await;
    let hold = hold_of(&rig, id, HoldReason::CaptureFailed).await.unwrap();
    assert_eq!(hold.state(), HoldState::Released);
    rig.audit().await;
}

/// Our clock and the provider's need not agree, nor has it told of every end.
#[tokio::test]
async fn a_capture_that_the_provider_finds_late_is_authorized_again() {
    let rig = Rig::start().await;
    let order = place(&rig).await;
    let id = &order.order_id;
    let mut conn = rig.db.connect().await;
    sqlx::raw_sql("UPDATE payments SET expires_at = NULL; DELETE FROM tasks WHERE kind = 'renew_authorization'")
        .execute(&mut conn)
        .await
        .unwrap();
    rig.clock.advance(DUE * 2);
    rig.ship(&order, &[2]);
    let captured = [
        "authorization order 2700 succeeded",
        "capture shipment 2700 failed authorization_expired",
        "authorization capture 2700 succeeded",
        "capture shipment 2 2700 succeeded",
    ];
    until_ledger(&rig, id, &captured).await;
    rig.audit().await;
}

#[tokio::test]
async fn an_order_that_is_canceled_while_its_renewal_is_parked_authorizes_nothing_more() {
    let rig = Rig::start().await;
    let order = place(&rig).await;
    let parked = until_declined(&rig).await;
    rig.cancel(&order, &[]).await.unwrap();
    rig.until(&order.order_id, "the order to be canceled", |order| {
        order.state() == OrderState::Canceled
    })
    .await;
    rig.retry(&parked.exception_id).await.unwrap();
    rig.rest().await;
    assert!(rig.exceptions().await.is_empty());
    let all = rig.payments(&order.order_id).await;
    let open = all.iter().filter(|one| {
        one.kind() == PaymentKind::Authorization && one.state() == PaymentState::Succeeded
    });
    assert_eq!(open.count(), 1);
    assert_eq!(
        rig.get(&order.order_id).await.totals.unwrap().authorized,
        usd(0)
    );
    rig.audit().await;
}
