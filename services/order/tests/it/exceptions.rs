//! What a person decides of parked work: skipped, overridden, and refused when it makes no sense.

use std::time::Duration;

use oms_proto::order::v1 as pb;
use oms_proto::order::v1::exception_service_client::ExceptionServiceClient;
use oms_proto::order::v1::{ExceptionRuling, OrderState};
use oms_testkit::wait_for;
use tonic::{Code, Status};

use crate::audit::audited;
use crate::peers::Trick;
use crate::rig::{Rig, id, new_order};

fn no_sense() -> Trick {
    Trick::Fail(Status::new(Code::InvalidArgument, "no such thing"))
}

fn client(rig: &Rig) -> ExceptionServiceClient<tonic::transport::Channel> {
    ExceptionServiceClient::new(rig.api.channel.clone())
}

async fn skip(rig: &Rig, exception_id: &str) -> Result<(), Status> {
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
    let request = pb::OverrideExceptionRequest {
        request_id: id(),
        exception_id: exception_id.to_owned(),
        ruling: ruling.into(),
        note: "agreed with the customer".to_owned(),
    };
    // A repeat answers the same and decides nothing again.
    let first = client(rig).override_exception(request.clone()).await;
    if first.is_ok() {
        client(rig).override_exception(request).await.unwrap();
        assert_eq!(audited(rig, "OverrideException").await, 1);
    }
    first.map(|_| ())
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
    wait_for("reserve to be parked", || async {
        rig.clock.advance(Duration::from_millis(50));
        let row = rig.saga_row(&placed.order_id).await;
        let is_stuck = row.starts_with("STUCK reserve");
        if is_stuck { Ok(()) } else { Err(row) }
    })
    .await;
    let parked = rig.exception("reserve").await;
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
    let request = pb::OverrideExceptionRequest {
        request_id: id(),
        exception_id: "x".to_owned(),
        ruling: 7,
        note: "  ".to_owned(),
    };
    let refused = client(&rig).override_exception(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = String::from_utf8_lossy(refused.details()).into_owned();
    for field in ["exception_id", "ruling", "note"] {
        assert!(details.contains(field), "{refused:?}");
    }
}
