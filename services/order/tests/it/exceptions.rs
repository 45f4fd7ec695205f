//! What a person decides of parked work: skipped, overridden, and refused when it makes no sense.

use std::time::Duration;

use oms_proto::common::v1::FillPolicy;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::exception_service_client::ExceptionServiceClient;
use oms_proto::order::v1::{CancellationState, ExceptionRuling, OrderState, PaymentState};
use oms_testkit::wait_for;
use serde_json::json;
use tonic::{Code, Status};

use crate::audit::audited;
use crate::money::captured;
use crate::payments::book;
use crate::peers::Trick;
use crate::rig::{Rig, filled, id, new_order, usd};

fn no_sense() -> Trick {
    Trick::Fail(Status::new(Code::InvalidArgument, "no such thing"))
}

fn client(rig: &Rig) -> ExceptionServiceClient<tonic::transport::Channel> {
    ExceptionServiceClient::new(rig.api.channel.clone())
}

pub(crate) async fn skip(rig: &Rig, exception_id: &str) -> Result<(), Status> {
    let request = pb::SkipExceptionRequest {
        request_id: id(),
        exception_id: exception_id.to_owned(),
        note: "released by hand".to_owned(),
    };
    client(rig).skip_exception(request).await?;
    assert_eq!(audited(rig, "SkipException").await, 1);
    Ok(())
}

async fn rule(rig: &Rig, exception_id: &str, ruling: ExceptionRuling) -> Result<(), Status> {
    decide(rig, exception_id, ruling, "").await
}

/// The same of what a provider did, with its reference.
async fn decide(
    rig: &Rig,
    exception_id: &str,
    ruling: ExceptionRuling,
    provider_reference: &str,
) -> Result<(), Status> {
    let request = pb::OverrideExceptionRequest {
        request_id: id(),
        exception_id: exception_id.to_owned(),
        ruling: ruling.into(),
        note: "agreed with the customer".to_owned(),
        provider_reference: provider_reference.to_owned(),
        payment_id: String::new(),
    };
    // A repeat answers the same and decides nothing again.
    let first = client(rig).override_exception(request.clone()).await;
    if first.is_ok() {
        client(rig).override_exception(request).await.unwrap();
        assert_eq!(audited(rig, "OverrideException").await, 1);
    }
    first.map(|_| ())
}

/// Waits until a step of an order is parked; the clock goes on meanwhile.
async fn parked(rig: &Rig, order_id: &str, step: &str) -> pb::Exception {
    wait_for(&format!("{step} to be parked"), || async {
        rig.clock.advance(Duration::from_millis(50));
        let row = rig.saga_row(order_id).await;
        let is_stuck = row.starts_with(&format!("STUCK {step}"));
        if is_stuck { Ok(()) } else { Err(row) }
    })
    .await;
    rig.exception(step).await
}

async fn timeline(rig: &Rig, order_id: &str, action: &str) -> Vec<String> {
    let entries = rig.timeline(order_id).await;
    let entries = entries.into_iter().filter(|entry| entry.action == action);
    entries
        .map(|entry| format!("{} {}", entry.actor, entry.detail))
        .collect()
}

#[tokio::test]
async fn an_override_rejects_the_order_and_gives_back_what_it_may_have_taken() {
    let rig = Rig::start().await;
    // It did reserve; then its answer was lost, and the repeat is refused.
    rig.peers.trick("Reserve", Trick::LoseAnswer);
    rig.peers.trick("Reserve", no_sense());
    let placed = rig.place_only(new_order(&[("A", 5)], "tok_approve")).await;
    let parked = parked(&rig, &placed.order_id, "reserve").await;
    assert_eq!(parked.supported_actions, ["retry", "reject_order"]);
    assert_eq!(rig.peers.free("A"), 95);
    rule(&rig, &parked.exception_id, ExceptionRuling::RejectOrder)
        .await
        .unwrap();
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Rejected);
    assert_eq!(order.state_reason, "OPERATOR");
    assert_eq!(rig.peers.free("A"), 100);
    let told = timeline(&rig, &order.order_id, "override_exception").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].ends_with(" reserve, reject_order: agreed with the customer")
            && told[0].starts_with("user:"),
        "{told:?}"
    );
    rig.audit().await;
}

#[tokio::test]
async fn a_step_that_takes_nothing_may_be_done_by_hand() {
    let rig = Rig::start().await;
    rig.peers.trick("CreateFulfillmentOrders", no_sense());
    let placed = rig.place_only(new_order(&[("A", 5)], "tok_approve")).await;
    let parked = rig.exception("release").await;
    assert_eq!(parked.supported_actions, ["retry", "step_done"]);
    // The order is confirmed: it can be canceled, but no more rejected.
    let refused = rule(&rig, &parked.exception_id, ExceptionRuling::RejectOrder).await;
    assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);
    rule(&rig, &parked.exception_id, ExceptionRuling::StepDone)
        .await
        .unwrap();
    assert!(rig.exceptions().await.is_empty());
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
}

/// Nothing waits for the batch any more, and nothing hands it over again.
#[tokio::test]
async fn a_release_that_was_done_by_hand_is_over_for_cancellations_and_for_later_stock() {
    let rig = Rig::start().await;
    rig.peers.stock("A", 3);
    rig.peers.trick("CreateFulfillmentOrders", no_sense());
    let order = filled(new_order(&[("A", 5)], "tok_approve"), FillPolicy::FillAll);
    let placed = rig.place_only(order).await;
    let parked = rig.exception("release").await;
    rule(&rig, &parked.exception_id, ExceptionRuling::StepDone)
        .await
        .unwrap();
    let order = rig.until_done(&placed.order_id).await;
    rig.cancel(&order, &[1]).await.unwrap();
    let order = rig
        .until_canceled(&order.order_id, CancellationState::Completed)
        .await;
    assert_eq!(
        (order.lines[0].canceled, order.lines[0].backordered),
        (1, 1)
    );
    rig.tell_backorder_allocated(&rig.peers.reservations(&order.order_id)[0]);
    let order = rig
        .until(&order.order_id, "the fulfillment order", |order| {
            order.fulfillment_order_ids.len() == 1
        })
        .await;
    assert_eq!(rig.peers.calls("CreateFulfillmentOrders").len(), 2);
    let made = rig.peers.fulfillment_orders(&order.order_id);
    let units: Vec<i64> = made
        .iter()
        .flat_map(|one| &one.lines)
        .map(|line| line.total)
        .collect();
    assert_eq!(units, [1]);
    rig.complete(&order).await;
    rig.audit().await;
}

/// Nobody is there, and what was sent may have arrived.
const NOBODY_ANSWERS: &str =
    "[saga]\nfailures_max = 3\n[payments.sandbox]\nurl = \"http://127.0.0.1:1\"";

#[tokio::test]
async fn a_person_says_that_the_provider_has_charged_and_the_order_goes_on() {
    let rig = Rig::start_with(NOBODY_ANSWERS).await;
    let placed = rig.place_only(new_order(&[("A", 2)], "tok_approve")).await;
    let parked = parked(&rig, &placed.order_id, "authorize").await;
    assert_eq!(
        parked.supported_actions,
        ["retry", "reject_order", "effect_confirmed", "effect_failed"]
    );
    let exception_id = &parked.exception_id;
    let refused = rule(&rig, exception_id, ExceptionRuling::EffectConfirmed).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    let other = pb::OverrideExceptionRequest {
        request_id: id(),
        exception_id: exception_id.clone(),
        ruling: ExceptionRuling::EffectFailed.into(),
        note: "it is not there".to_owned(),
        payment_id: id(),
        ..pb::OverrideExceptionRequest::default()
    };
    let refused = client(&rig).override_exception(other).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);

    book(&rig, &parked.payment_ids[0], "AUTHORIZATION", "auth_seen").await;
    let ruling = ExceptionRuling::EffectConfirmed;
    decide(&rig, exception_id, ruling, "auth_seen")
        .await
        .unwrap();
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(order.totals.unwrap().authorized, usd(2_700));
    let settled = timeline(&rig, &order.order_id, "authorize_payment").await;
    assert_eq!(settled.len(), 1, "{settled:?}");
    assert!(settled[0].starts_with("user:"), "{settled:?}");
    let told = timeline(&rig, &order.order_id, "override_exception").await;
    assert!(told[0].contains("effect_confirmed"), "{told:?}");
    rig.audit().await;
}

#[tokio::test]
async fn a_person_says_that_the_provider_has_not_charged_and_the_order_is_rejected() {
    let rig = Rig::start_with(NOBODY_ANSWERS).await;
    let placed = rig.place_only(new_order(&[("A", 2)], "tok_approve")).await;
    let parked = parked(&rig, &placed.order_id, "authorize").await;
    rule(&rig, &parked.exception_id, ExceptionRuling::EffectFailed)
        .await
        .unwrap();
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Rejected);
    assert_eq!(order.state_reason, "PAYMENT_DECLINED");
    assert_eq!(rig.peers.free("A"), 100);
    let payments = rig.payments(&order.order_id).await;
    assert_eq!(payments[0].state(), PaymentState::Failed);
    rig.audit().await;
}

/// Given up, it would leave an order that waits for ever for the answer to its payment.
#[tokio::test]
async fn a_task_is_not_given_up_while_its_payment_is_in_doubt_but_decided() {
    let rig = Rig::start().await;
    let placed = rig.place(new_order(&[("A", 2)], "tok_approve")).await;
    let order = rig.until_done(&placed.order_id).await;
    let fault = json!({ "kind": "error_before", "operation": "capture", "times": 1_000 });
    rig.provider.fault(fault).await;
    let (shipment, _) = rig.ship(&order, &[2]);
    rig.tell_shipping(&shipment, true);
    wait_for("the capture to be in doubt", || async {
        let query = "SELECT count(*) FROM effects WHERE kind = 'CAPTURE' AND state = 'IN_DOUBT'";
        match rig.count(query).await {
            1 => Ok(()),
            _ => Err("not yet".to_owned()),
        }
    })
    .await;
    park(&rig, "capture_payment").await;
    let parked = rig.exception("capture_payment").await;
    assert_eq!(
        parked.supported_actions,
        ["retry", "effect_confirmed", "effect_failed"]
    );
    let refused = skip(&rig, &parked.exception_id).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(
        refused.message().contains("EFFECT_CONFIRMED"),
        "{refused:?}"
    );

    book(&rig, &parked.payment_ids[0], "CAPTURE", "cap_seen").await;
    let ruling = ExceptionRuling::EffectConfirmed;
    decide(&rig, &parked.exception_id, ruling, "cap_seen")
        .await
        .unwrap();
    let is_over = |order: &pb::Order| order.state() == OrderState::Completed;
    let order = rig
        .until(&order.order_id, "the order to be completed", is_over)
        .await;
    assert_eq!(captured(&order), 2_700);
    assert!(rig.exceptions().await.is_empty());
    rig.audit().await;
}

/// As many failures would leave it.
async fn park(rig: &Rig, kind: &str) {
    let mut conn = rig.db.connect().await;
    let parked = sqlx::query(
        "UPDATE tasks SET state = 'STUCK', ended_at = now(), lease_holder = NULL
         WHERE kind = $1 AND state = 'READY'",
    )
    .bind(kind)
    .execute(&mut conn)
    .await
    .unwrap();
    assert_eq!(parked.rows_affected(), 1, "{kind}");
}

/// What was never sent fails, so that the order does not wait for it.
#[tokio::test]
async fn a_task_that_is_given_up_leaves_no_payment_open() {
    let rig = Rig::start().await;
    let placed = rig.place(new_order(&[("A", 2)], "tok_approve")).await;
    let order = rig.until_done(&placed.order_id).await;
    let (shipment, _) = rig.ship(&order, &[2]);
    rig.until(&order.order_id, "the capture", |order| {
        captured(order) == 2_700
    })
    .await;
    let planned = "WITH p AS (
             INSERT INTO payments (payment_id, order_id, kind, state, amount, currency, provider, parent_payment_id,
                 cause, actor, created_at, updated_at)
             SELECT gen_random_uuid(), order_id, 'REFUND', 'INITIATED', 100, currency, provider, payment_id, 'manual/x',
                 'user:a', now(), now()
             FROM payments WHERE order_id = $1::uuid AND kind = 'CAPTURE' RETURNING payment_id),
         e AS (
             INSERT INTO effects (effect_id, kind, idempotency_key, request_hash, state, provider, payment_id,
                 created_at, updated_at)
             SELECT gen_random_uuid(), 'REFUND', payment_id::text, '', 'PLANNED', 'sandbox', payment_id, now(), now()
             FROM p)
         INSERT INTO tasks (id, kind, key, payload, actor, traceparent, state, ended_at, run_at, attempt)
         VALUES (gen_random_uuid(), 'refund_payment', $1, 'manual/x', 'user:a', '', 'STUCK', now(), now(), 9)";
    let mut conn = rig.db.connect().await;
    sqlx::query(planned)
        .bind(&order.order_id)
        .execute(&mut conn)
        .await
        .unwrap();
    rig.tell_shipping(&shipment, true);
    rig.until(&order.order_id, "the delivery", |order| {
        order.lines[0].delivered == 2
    })
    .await;
    let parked = rig.exception("refund_payment").await;
    assert_eq!(parked.supported_actions, ["retry", "skip"]);
    assert!(parked.payment_ids.is_empty());
    skip(&rig, &parked.exception_id).await.unwrap();
    let order = rig.get(&order.order_id).await;
    assert_eq!(order.state(), OrderState::Completed);
    rig.audit().await;
}

#[tokio::test]
async fn an_undo_that_cannot_be_done_is_skipped() {
    let rig = Rig::start().await;
    rig.peers.trick("ReleaseReservation", no_sense());
    let placed = rig.place_only(new_order(&[("A", 5)], "tok_decline")).await;
    let parked = rig.exception("reserve").await;
    assert_eq!(parked.supported_actions, ["retry", "skip"]);
    skip(&rig, &parked.exception_id).await.unwrap();
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Rejected);
    assert_eq!(
        order.state_reason, "PAYMENT_DECLINED",
        "the reason stays that of the unwinding"
    );
    assert_eq!(
        timeline(&rig, &order.order_id, "skip_exception")
            .await
            .len(),
        1
    );
    // What it leaves undone is the caller's.
    assert_eq!(rig.peers.free("A"), 95);
    assert_eq!(
        skip(&rig, &parked.exception_id).await.unwrap_err().code(),
        Code::NotFound,
        "nothing is parked any more"
    );
}

#[tokio::test]
async fn a_task_is_given_up() {
    let rig = Rig::start().await;
    let placed = rig.place(new_order(&[("A", 5)], "tok_approve")).await;
    let stuck = "INSERT INTO tasks (id, kind, key, payload, actor, traceparent, state, ended_at, run_at,
                                    attempt)
                 VALUES (gen_random_uuid(), 'call_back_units', $1, '', 'user:a', '', 'STUCK', now(), now(), 9)";
    let mut conn = rig.db.connect().await;
    sqlx::query(stuck)
        .bind(&placed.order_id)
        .execute(&mut conn)
        .await
        .unwrap();
    let parked = rig.exception("call_back_units").await;
    assert_eq!(parked.supported_actions, ["retry", "skip"]);
    let refused = rule(&rig, &parked.exception_id, ExceptionRuling::StepDone).await;
    assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);
    skip(&rig, &parked.exception_id).await.unwrap();
    assert!(rig.exceptions().await.is_empty());
    wait_for("the decision to be told", || async {
        match timeline(&rig, &placed.order_id, "skip_exception").await {
            told if told.len() == 1 => Ok(()),
            told => Err(format!("{told:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_decision_without_a_reason_or_a_ruling_is_refused_at_once() {
    let rig = Rig::start().await;
    let retry = pb::RetryExceptionRequest {
        request_id: id(),
        exception_id: id(),
        note: " ".to_owned(),
    };
    let refused = client(&rig).retry_exception(retry).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let request = pb::OverrideExceptionRequest {
        request_id: id(),
        exception_id: "x".to_owned(),
        ruling: 7,
        note: "  ".to_owned(),
        ..pb::OverrideExceptionRequest::default()
    };
    let refused = client(&rig).override_exception(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = String::from_utf8_lossy(refused.details()).into_owned();
    for field in ["exception_id", "ruling", "note"] {
        assert!(details.contains(field), "{refused:?}");
    }
}
