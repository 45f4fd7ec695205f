//! Money after the confirmation: captured and invoiced per shipment, refunded to the cent, held when it fails.

use oms_proto::order::v1 as pb;
use oms_proto::order::v1::{InvoiceKind, OrderState, PaymentKind, PaymentPolicy, PaymentState};

use crate::rig::{Rig, new_order, usd};

/// Amounts that do not divide by their units: 3 at 3.33, 2 at 7.77, 5.00 for shipping, 10 % tax.
pub(crate) fn uneven(token: &str) -> pb::NewOrder {
    let mut order = new_order(&[("A", 3), ("B", 2)], token);
    order.lines[0].unit_price = usd(333);
    order.lines[1].unit_price = usd(777);
    order
}

fn minor(money: Option<&oms_proto::common::v1::Money>) -> i64 {
    money.map(|money| money.minor_units).unwrap_or_default()
}

pub(crate) fn captured(order: &pb::Order) -> i64 {
    minor(order.totals.as_ref().unwrap().captured.as_ref())
}

pub(crate) fn refunded(order: &pb::Order) -> i64 {
    minor(order.totals.as_ref().unwrap().refunded.as_ref())
}

pub(crate) fn total(order: &pb::Order) -> i64 {
    minor(order.totals.as_ref().unwrap().total.as_ref())
}

#[tokio::test]
async fn two_shipments_capture_and_invoice_their_units_and_the_order_completes() {
    let rig = Rig::start().await;
    let order = rig.place(uneven("tok_approve")).await;
    let (first, _) = rig.ship(&order, &[2, 1]);
    rig.invoices(&order.order_id, 1).await;
    rig.tell_shipping(&first, true);
    let (second, _) = rig.ship(&order, &[1, 1]);
    let invoices = rig.invoices(&order.order_id, 2).await;
    assert_eq!(invoices[0].invoice_number, "INV-000001");
    assert_eq!(invoices[1].invoice_number, "INV-000002");
    assert_eq!(invoices[0].cause, format!("shipment/{}", first.shipment_id));
    let ranges: Vec<(i64, i64)> = invoices
        .iter()
        .flat_map(|one| &one.lines)
        .map(|line| (line.from_unit, line.quantity))
        .collect();
    assert_eq!(ranges, [(0, 2), (0, 1), (2, 1), (1, 1)]);
    let billed: i64 = invoices.iter().map(|one| minor(one.total.as_ref())).sum();
    assert_eq!(billed, total(&order));
    let open = rig
        .until(&order.order_id, "both captures", |order| {
            captured(order) == billed
        })
        .await;
    assert_eq!(open.state(), OrderState::Confirmed);
    rig.tell_shipping(&second, true);
    let done = rig
        .until(&order.order_id, "the order to be completed", |order| {
            order.state() == OrderState::Completed
        })
        .await;
    assert_eq!(done.lines[0].delivered, 3);
    assert_eq!(minor(done.totals.unwrap().authorized.as_ref()), 0);
    rig.audit().await;
}

#[tokio::test]
async fn every_event_told_twice_changes_nothing_the_second_time() {
    let rig = Rig::start().await;
    let order = rig.place(uneven("tok_approve")).await;
    let (shipment, shipped) = rig.ship(&order, &[3, 2]);
    let delivered = rig.tell_shipping(&shipment, true);
    let id = &order.order_id;
    let done = |order: &pb::Order| order.state() == OrderState::Completed;
    rig.until(id, "the order to be completed", done).await;
    let events = rig.bring_back(&order, &[1, 1]);
    rig.until(id, "the refund", |order| order.lines[1].refunded == 1)
        .await;
    rig.invoices(id, 2).await;
    let before = rig.get(id).await;
    for event in [&shipped, &delivered].into_iter().chain(&events) {
        rig.tell_again(event);
    }
    // One more event behind them tells when they were read.
    rig.bring_back(&order, &[1, 0]);
    let (other, _) = rig.ship(&order, &[0, 0]);
    rig.until(id, "the last return", |order| order.lines[0].refunded == 2)
        .await;
    rig.until(id, "the last shipment", |order| {
        order.shipment_ids.contains(&other.shipment_id)
    })
    .await;
    let after = rig.get(id).await;
    assert_eq!(after.lines[0].shipped, before.lines[0].shipped);
    assert_eq!(after.lines[1], before.lines[1]);
    assert_eq!(after.lines[0].returned, 2);
    assert_eq!(captured(&after), captured(&before));
    rig.audit().await;
}

#[tokio::test]
async fn returning_every_unit_in_two_returns_refunds_exactly_what_was_captured() {
    let rig = Rig::start().await;
    let order = rig.place(uneven("tok_approve")).await;
    // Two captures, so that a refund goes over both.
    rig.ship(&order, &[1, 1]);
    rig.invoices(&order.order_id, 1).await;
    rig.ship(&order, &[2, 1]);
    let id = &order.order_id;
    rig.until(id, "both captures", |order| captured(order) == total(order))
        .await;
    rig.bring_back(&order, &[2, 1]);
    rig.until(id, "the first refund", |order| order.lines[0].refunded == 2)
        .await;
    rig.bring_back(&order, &[1, 1]);
    let order = rig
        .until(id, "the second refund", |order| {
            order.lines[0].refunded == 3
        })
        .await;
    assert_eq!(refunded(&order), captured(&order));
    assert_eq!(refunded(&order), total(&order));
    assert_eq!(order.lines[1].refunded, 2);
    let invoices = rig.invoices(id, 4).await;
    let memos: Vec<&pb::Invoice> = invoices
        .iter()
        .filter(|one| one.kind() == InvoiceKind::CreditMemo)
        .collect();
    let credited: i64 = memos.iter().map(|one| minor(one.total.as_ref())).sum();
    assert_eq!(credited, refunded(&order));
    assert_eq!(memos[1].invoice_number, "CM-000002");
    assert_eq!(memos[1].lines[0].from_unit, 2);
    let told = "SELECT count(*) FROM feed WHERE event_type = 'ReturnRefunded'";
    oms_testkit::wait_for("both refunds to be told", || async {
        let count = rig.count(told).await;
        if count == 2 {
            Ok(())
        } else {
            Err(count.to_string())
        }
    })
    .await;
    rig.audit().await;
}

#[tokio::test]
async fn a_declined_capture_holds_the_order_until_a_person_has_it_tried_again() {
    let rig = Rig::start().await;
    let order = rig.place(new_order(&[("A", 2)], "tok_capture_fails")).await;
    let id = &order.order_id;
    let (shipment, _) = rig.ship(&order, &[1]);
    let parked = rig.exception("capture_payment").await;
    assert_eq!(parked.order_id, *id);
    assert!(
        parked.reason.contains("capture_declined"),
        "{}",
        parked.reason
    );
    let held = rig.get(id).await;
    assert_eq!(held.lines[0].shipped, 1, "what has shipped stays shipped");
    let hold = held
        .holds
        .iter()
        .find(|hold| hold.reason() == pb::HoldReason::CaptureFailed);
    assert_eq!(hold.unwrap().state(), pb::HoldState::Active);
    assert_eq!(captured(&held), 0);
    // Again, and declined again: an attempt of its own, still held.
    rig.retry(&parked.exception_id).await.unwrap();
    oms_testkit::wait_for("the second attempt", || async {
        let failed = "SELECT count(*) FROM payments WHERE kind = 'CAPTURE' AND state = 'FAILED'";
        let count = rig.count(failed).await;
        if count == 2 {
            Ok(())
        } else {
            Err(count.to_string())
        }
    })
    .await;
    let parked = rig.exception("capture_payment").await;
    rig.talk_to_bank().await;
    rig.retry(&parked.exception_id).await.unwrap();
    let paid = rig
        .until(id, "the capture", |order| captured(order) > 0)
        .await;
    let hold = paid
        .holds
        .iter()
        .find(|hold| hold.reason() == pb::HoldReason::CaptureFailed);
    assert_eq!(hold.unwrap().state(), pb::HoldState::Released);
    let payments = rig.payments(id).await;
    let mut causes: Vec<&str> = payments
        .iter()
        .filter(|one| one.kind() == PaymentKind::Capture)
        .map(|one| one.cause.as_str())
        .collect();
    causes.sort_unstable();
    let first = format!("shipment/{}", shipment.shipment_id);
    assert_eq!(
        causes,
        [first.clone(), format!("{first}#2"), format!("{first}#3")]
    );
    assert!(rig.exceptions().await.is_empty());
    assert!(rig.retry(&parked.exception_id).await.is_err());
    rig.audit().await;
}

#[tokio::test]
async fn a_prepaid_order_is_captured_when_confirmed_and_canceled_units_are_refunded() {
    let rig = Rig::start().await;
    rig.channel(|channel| channel.set_payment_policy(PaymentPolicy::Prepaid))
        .await;
    let order = rig.place(uneven("tok_approve")).await;
    let id = &order.order_id;
    rig.until(id, "the capture", |order| captured(order) == total(order))
        .await;
    rig.cancel(&order, &[1, 0]).await.unwrap();
    let less = rig
        .until_canceled(id, pb::CancellationState::Completed)
        .await;
    let canceled = minor(less.totals.as_ref().unwrap().canceled.as_ref());
    assert!(canceled > 0);
    assert_eq!(refunded(&less), canceled);
    let done = rig.complete(&less).await;
    assert_eq!(captured(&done) - refunded(&done), total(&done) - canceled);
    rig.audit().await;
}

#[tokio::test]
async fn a_refund_beyond_returns_gives_back_what_was_captured_and_no_more() {
    let rig = Rig::start().await;
    let order = rig.place(new_order(&[("A", 2)], "tok_approve")).await;
    let id = &order.order_id;
    let error = rig.refund(id, 1).await.unwrap_err();
    assert_eq!(error.metadata("refundable"), Some("0"));
    let done = rig.complete(&order).await;
    let error = rig.refund(id, captured(&done) + 1).await.unwrap_err();
    let reason = oms_proto::common::v1::ErrorReason::RefundExceedsCaptured;
    assert_eq!(error.reason(), Some(reason));
    let planned = rig.refund(id, 300).await.unwrap();
    assert_eq!(planned.kind(), PaymentKind::Refund);
    let order = rig
        .until(id, "the refund", |order| refunded(order) == 300)
        .await;
    assert_eq!(captured(&order), captured(&done));
    let invoices = rig.invoices(id, 2).await;
    assert_eq!(invoices[1].lines[0].quantity, 0);
    assert_eq!(minor(invoices[1].total.as_ref()), 300);
    // The rest of it goes with a return of all units, capped at what is left.
    rig.bring_back(&order, &[2]);
    let order = rig
        .until(id, "the return", |order| order.lines[0].refunded == 2)
        .await;
    assert_eq!(refunded(&order), captured(&order));
    let settled = |one: &pb::PaymentTransaction| one.state() == PaymentState::Succeeded;
    assert!(rig.payments(id).await.iter().all(settled));
    rig.audit().await;
}

#[tokio::test]
async fn an_invoice_is_a_pdf_with_the_same_bytes_each_time() {
    let rig = Rig::start().await;
    let order = rig.place(uneven("tok_approve")).await;
    rig.ship(&order, &[3, 2]);
    let invoices = rig.invoices(&order.order_id, 1).await;
    let pdf = rig.document(&invoices[0].invoice_id).await;
    assert!(pdf.starts_with(b"%PDF-"));
    assert_eq!(pdf, rig.document(&invoices[0].invoice_id).await);
    if let Some(path) = std::env::var_os("OMS_TEST_KEEP_PDF") {
        std::fs::write(path, &pdf).unwrap();
    }
}

#[tokio::test]
async fn money_given_back_out_of_goodwill_does_not_keep_an_order_open() {
    let rig = Rig::start().await;
    let order = rig.place(new_order(&[("A", 2)], "tok_approve")).await;
    let id = &order.order_id;
    rig.until_done(id).await;
    let (shipment, _) = rig.ship(&order, &[2]);
    rig.until(id, "the capture", |order| captured(order) > 0)
        .await;
    rig.refund(id, 300).await.unwrap();
    rig.until(id, "the refund", |order| refunded(order) == 300)
        .await;
    rig.tell_shipping(&shipment, true);
    rig.until(id, "the order to be completed", |order| {
        order.state() == pb::OrderState::Completed
    })
    .await;
    rig.audit().await;
}

#[tokio::test]
async fn goods_that_come_back_before_their_money_are_refunded_when_it_is_there() {
    let rig = Rig::start().await;
    let order = rig.place(new_order(&[("A", 2)], "tok_capture_fails")).await;
    let id = &order.order_id;
    rig.until_done(id).await;
    let (shipment, _) = rig.ship(&order, &[2]);
    let parked = rig.exception("capture_payment").await;
    rig.tell_shipping(&shipment, true);
    rig.bring_back(&order, &[2]);
    rig.until(id, "the goods", |order| order.lines[0].returned == 2)
        .await;
    let waits = rig.get(id).await;
    assert_eq!((captured(&waits), waits.lines[0].refunded), (0, 0));
    rig.talk_to_bank().await;
    rig.retry(&parked.exception_id).await.unwrap();
    let paid = rig
        .until(id, "the refund", |order| order.lines[0].refunded == 2)
        .await;
    assert_eq!(captured(&paid), total(&paid));
    assert_eq!(refunded(&paid), captured(&paid));
    rig.until(id, "the order to be completed", |order| {
        order.state() == pb::OrderState::Completed
    })
    .await;
    rig.audit().await;
}
