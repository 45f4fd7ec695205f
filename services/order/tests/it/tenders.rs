//! Orders paid by several tenders: authorized in order, drawn per shipment, paid back, given up together.

use oms_proto::common::v1::{FillPolicy, Money};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::{OrderState, PaymentKind, PaymentPolicy, PaymentState};

use crate::rig::{Rig, filled, new_order, request, usd};

/// A tender of the sandbox; `None` takes the rest.
fn tender(token: &str, amount: Option<i64>) -> pb::PaymentMethod {
    pb::PaymentMethod {
        provider: "sandbox".to_owned(),
        token: token.to_owned(),
        amount: amount.and_then(usd),
    }
}

/// An order of units of A, paid by these: one unit is 16.00, two are 27.00.
fn paid_by(units: i64, methods: Vec<pb::PaymentMethod>) -> pb::NewOrder {
    pb::NewOrder {
        payment_method: None,
        payment_methods: methods,
        ..new_order(&[("A", units)], "")
    }
}

/// Tender and amount of what succeeded of a kind, oldest first.
async fn done(rig: &Rig, order_id: &str, kind: PaymentKind) -> Vec<(i32, i64)> {
    let all = rig.payments(order_id).await;
    all.iter()
        .filter(|one| one.kind() == kind && one.state() == PaymentState::Succeeded)
        .map(|one| (one.tender, one.amount.as_ref().unwrap().minor_units))
        .collect()
}

fn minor(money: Option<&Money>) -> i64 {
    money.map(|money| money.minor_units).unwrap_or_default()
}

fn captured(order: &pb::Order) -> i64 {
    minor(order.totals.as_ref().unwrap().captured.as_ref())
}

fn refunded(order: &pb::Order) -> i64 {
    minor(order.totals.as_ref().unwrap().refunded.as_ref())
}

#[tokio::test]
async fn shipments_draw_from_the_tenders_in_order_and_returns_pay_every_tender_back() {
    let rig = Rig::start().await;
    let methods = vec![
        tender("tok_approve", None),
        tender("tok_gift", Some(1_000)),
        tender("tok_voucher", Some(500)),
    ];
    let order = rig.place(paid_by(2, methods)).await;
    let id = &order.order_id;
    assert_eq!(order.state(), OrderState::Confirmed);
    let authorized = done(&rig, id, PaymentKind::Authorization).await;
    assert_eq!(authorized, [(1, 1_000), (2, 500), (3, 1_200)]);
    rig.ship(&order, &[1]);
    rig.until(id, "the first capture", |order| captured(order) == 1_350)
        .await;
    let drawn = done(&rig, id, PaymentKind::Capture).await;
    assert_eq!(drawn, [(1, 1_000), (2, 350)]);
    rig.ship(&order, &[1]);
    rig.until(id, "the second capture", |order| captured(order) == 2_700)
        .await;
    let drawn = done(&rig, id, PaymentKind::Capture).await;
    assert_eq!(drawn, [(1, 1_000), (2, 350), (2, 150), (3, 1_200)]);
    rig.bring_back(&order, &[1]);
    rig.until(id, "the first refund", |order| refunded(order) == 1_350)
        .await;
    rig.bring_back(&order, &[1]);
    rig.until(id, "the second refund", |order| refunded(order) == 2_700)
        .await;
    let back = done(&rig, id, PaymentKind::Refund).await;
    let of = |tender| -> i64 {
        let all = back.iter().filter(|(number, _)| *number == tender);
        all.map(|(_, amount)| amount).sum()
    };
    assert_eq!([of(1), of(2), of(3)], [1_000, 500, 1_200]);
    rig.audit().await;
}

#[tokio::test]
async fn a_declined_tender_rejects_the_order_and_the_others_are_given_up() {
    let rig = Rig::start().await;
    let methods = vec![
        tender("tok_gift", Some(1_000)),
        tender("tok_decline", Some(500)),
        tender("tok_approve", None),
    ];
    let placed = rig.place_only(paid_by(2, methods)).await;
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Rejected);
    assert_eq!(order.state_reason, "PAYMENT_DECLINED");
    let id = &order.order_id;
    assert_eq!(
        done(&rig, id, PaymentKind::Authorization).await,
        [(1, 1_000)]
    );
    assert_eq!(done(&rig, id, PaymentKind::Void).await, [(1, 1_000)]);
    assert_eq!(rig.peers.free("A"), 100);
    rig.audit().await;
}

#[tokio::test]
async fn an_order_worth_less_than_its_total_takes_less_from_the_last_tender() {
    let rig = Rig::start().await;
    rig.peers.stock("A", 1);
    let methods = vec![tender("tok_gift", Some(1_000)), tender("tok_approve", None)];
    let order = filled(paid_by(2, methods), FillPolicy::FillAllAvailable);
    let order = rig.place(order).await;
    let authorized = done(&rig, &order.order_id, PaymentKind::Authorization).await;
    assert_eq!(authorized, [(1, 1_000), (2, 350)]);
    let done_order = rig.complete(&order).await;
    assert_eq!(captured(&done_order), 1_350);
    rig.audit().await;
}

#[tokio::test]
async fn a_canceled_order_gives_every_authorization_up() {
    let rig = Rig::start().await;
    let methods = vec![tender("tok_gift", Some(1_000)), tender("tok_approve", None)];
    let order = rig.place(paid_by(2, methods)).await;
    let id = &order.order_id;
    rig.cancel(&order, &[]).await.unwrap();
    let order = rig
        .until_canceled(id, pb::CancellationState::Completed)
        .await;
    assert_eq!(order.state(), OrderState::Canceled);
    let voids = done(&rig, id, PaymentKind::Void).await;
    assert_eq!(voids, [(1, 1_000), (2, 1_700)]);
    rig.audit().await;
}

#[tokio::test]
async fn a_part_of_a_capture_that_is_declined_holds_the_order_and_is_tried_again_alone() {
    let rig = Rig::start().await;
    let methods = vec![
        tender("tok_gift", Some(1_000)),
        tender("tok_capture_fails", None),
    ];
    let order = rig.place(paid_by(2, methods)).await;
    let id = &order.order_id;
    let (shipment, _) = rig.ship(&order, &[2]);
    let parked = rig.exception("capture_payment").await;
    assert_eq!(captured(&rig.get(id).await), 1_000);
    rig.talk_to_bank().await;
    rig.retry(&parked.exception_id).await.unwrap();
    rig.until(id, "the whole capture", |order| captured(order) == 2_700)
        .await;
    let cause = format!("shipment/{}", shipment.shipment_id);
    let mut causes: Vec<String> = rig
        .payments(id)
        .await
        .into_iter()
        .filter(|one| one.kind() == PaymentKind::Capture)
        .map(|one| one.cause)
        .collect();
    causes.sort_unstable();
    let expected = [cause.clone(), format!("{cause}/2"), format!("{cause}/2#2")];
    assert_eq!(causes, expected);
    assert!(rig.exceptions().await.is_empty());
    rig.audit().await;
}

#[tokio::test]
async fn a_prepaid_order_of_several_tenders_is_captured_whole_and_canceled_units_are_refunded() {
    let rig = Rig::start().await;
    rig.channel(|channel| channel.set_payment_policy(PaymentPolicy::Prepaid))
        .await;
    let methods = vec![tender("tok_gift", Some(1_000)), tender("tok_approve", None)];
    let order = rig.place(paid_by(2, methods)).await;
    let id = &order.order_id;
    rig.until(id, "the capture", |order| captured(order) == 2_700)
        .await;
    let parts = done(&rig, id, PaymentKind::Capture).await;
    assert_eq!(parts, [(1, 1_000), (2, 1_700)]);
    rig.cancel(&order, &[1]).await.unwrap();
    let less = rig
        .until_canceled(id, pb::CancellationState::Completed)
        .await;
    assert_eq!(refunded(&less), 1_350);
    let back = done(&rig, id, PaymentKind::Refund).await;
    assert_eq!(back, [(1, 1_000), (2, 350)]);
    rig.complete(&less).await;
    rig.audit().await;
}

#[tokio::test]
async fn a_lost_answer_of_a_later_tender_is_settled_once() {
    let rig = Rig::start().await;
    let methods = vec![tender("tok_gift", Some(1_000)), tender("tok_timeout", None)];
    let placed = rig.place_only(paid_by(2, methods)).await;
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(rig.charges().await, 2);
    let sent = "SELECT count(*) FROM effects WHERE state = 'CONFIRMED' AND attempts = 1";
    assert_eq!(rig.count(sent).await, 2);
    rig.audit().await;
}

#[tokio::test]
async fn everything_that_is_wrong_with_the_tenders_is_told_at_once() {
    let rig = Rig::start().await;
    let mut methods = vec![
        tender("tok_gift", Some(2_000)),
        tender("", Some(-1)),
        tender("tok_approve", None),
        tender("tok_approve", None),
        tender("tok_approve", Some(0)),
        tender("5555555555554444", Some(701)),
    ];
    methods[0].provider = "paypal".to_owned();
    methods[4].amount.as_mut().unwrap().currency_code = "EUR".to_owned();
    let mut order = paid_by(2, methods);
    order.payment_method = Some(tender("tok_approve", None));
    let refused = rig.try_place(request(order, pb::WaitFor::Pending)).await;
    let error = refused.unwrap_err();
    let told: Vec<(String, String)> = error
        .violations()
        .iter()
        .map(|one| (one.field.replace("order.", ""), one.reason.clone()))
        .collect();
    let expected = [
        ("payment_methods", "DUPLICATE"),
        ("payment_methods[0].provider", "REFERENCE_UNKNOWN"),
        ("payment_methods[1].token", "FIELD_REQUIRED"),
        ("payment_methods[1].amount", "AMOUNT_NEGATIVE"),
        ("payment_methods[3].amount", "FIELD_REQUIRED"),
        ("payment_methods[4].amount", "FIELD_OUT_OF_RANGE"),
        ("payment_methods[5].token", "CARD_NUMBER_REFUSED"),
        ("payment_methods[4].amount", "CURRENCY_MIXED"),
        ("payment_methods", "FIELD_OUT_OF_RANGE"),
    ]
    .map(|(field, reason)| (field.to_owned(), reason.to_owned()));
    assert_eq!(told, expected);
    assert_eq!(rig.count("SELECT count(*) FROM orders").await, 0);
}

#[tokio::test]
async fn tenders_that_do_not_pay_the_total_are_refused() {
    let rig = Rig::start().await;
    let eleven = (0..11).map(|_| tender("tok_approve", Some(1))).collect();
    let cases = [
        (
            vec![tender("tok_approve", Some(2_699))],
            "less than the total",
        ),
        (
            vec![tender("tok_approve", Some(2_701))],
            "more than the total",
        ),
        (
            vec![tender("a", Some(2_701)), tender("b", None)],
            "more than the total",
        ),
        (eleven, "more than the 10"),
    ];
    for (methods, what) in cases {
        let order = paid_by(2, methods);
        let refused = rig.try_place(request(order, pb::WaitFor::Pending)).await;
        let error = refused.unwrap_err();
        let told = error.violations();
        assert!(
            told.iter().any(|one| one.message.contains(what)),
            "{what}: {told:?}"
        );
    }
}
