//! Authorizations whose answers are lost, late or given by somebody else, and a provider that hangs.

use std::time::Duration;

use oms_proto::order::v1 as pb;
use oms_proto::order::v1::OrderState;
use oms_testkit::wait_for;
use serde_json::json;

use crate::peers::Trick;
use crate::rig::{Rig, id, new_order, usd};

/// As if a call that was thought lost had come to the provider by now, which approves it.
pub(crate) async fn book(rig: &Rig, payment_id: &str, kind: &str, reference: &str) {
    let query = "SELECT amount FROM payments WHERE payment_id = $1::uuid";
    let mut conn = rig.db.connect().await;
    let amount: i64 = sqlx::query_scalar(query)
        .bind(payment_id)
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let mut conn = rig.provider.db.connect().await;
    sqlx::query(
        "INSERT INTO charges (idempotency_key, kind, reference, amount, currency, approved, created_at)
         VALUES ($1, $2, $3, $4, 'USD', true, now())",
    )
    .bind(payment_id)
    .bind(kind)
    .bind(reference)
    .bind(amount)
    .execute(&mut conn)
    .await
    .unwrap();
}

/// An order whose authorization the provider has refused to look at three times: it waits for a person.
async fn order_in_doubt(rig: &Rig) -> (pb::Order, pb::Exception) {
    let fault = json!({ "kind": "error_before", "operation": "authorize", "times": 3 });
    rig.provider.fault(fault).await;
    let placed = rig.place_only(new_order(&[("A", 2)], "tok_approve")).await;
    wait_for("the authorization to be parked", || async {
        rig.clock.advance(Duration::from_millis(50));
        let row = rig.saga_row(&placed.order_id).await;
        if row.starts_with("STUCK authorize") {
            Ok(())
        } else {
            Err(row)
        }
    })
    .await;
    let parked = rig.exception("authorize").await;
    (placed, parked)
}

/// Waits until a query counts so many, or more.
async fn until_count(rig: &Rig, query: &str, least: i64) {
    wait_for(query, || async {
        match rig.count(query).await {
            found if found >= least => Ok(()),
            found => Err(format!("{found}")),
        }
    })
    .await;
}

const IN_DOUBT: &str = "SELECT count(*) FROM effects WHERE state = 'IN_DOUBT'";

#[tokio::test]
async fn a_doubt_backs_off_like_a_failure_and_is_left_to_a_person_in_the_end() {
    let rig = Rig::start_with("[saga]\nfailures_max = 3").await;
    let (placed, parked) = order_in_doubt(&rig).await;
    let failed = "SELECT count(*) FROM saga_steps WHERE step = 'authorize' AND outcome = 'FAILED'";
    assert_eq!(rig.count(failed).await, 3);
    // The reconciler looks, and looks again: what was sent is never taken for what was not.
    wait_for("the reconciler to look twice", || async {
        rig.clock.advance(Duration::from_mins(1));
        match rig.count("SELECT signals FROM sagas").await {
            looks if looks >= 2 => Ok(()),
            looks => Err(format!("{looks} looks")),
        }
    })
    .await;
    assert_eq!(rig.count(IN_DOUBT).await, 1);
    let row = rig.saga_row(&placed.order_id).await;
    assert!(row.starts_with("STUCK authorize"), "{row}");
    rig.retry(&parked.exception_id).await.unwrap();
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(rig.charges().await, 1);
    rig.audit().await;
}

#[tokio::test]
async fn an_answer_that_comes_late_lets_go_on_what_waits_for_a_person() {
    let rig = Rig::start_with("[saga]\nfailures_max = 3").await;
    let (placed, parked) = order_in_doubt(&rig).await;
    book(&rig, &parked.payment_ids[0], "AUTHORIZATION", "auth_late").await;
    rig.clock.advance(Duration::from_mins(2));
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(order.totals.unwrap().authorized, usd(2_700));
    assert!(rig.exceptions().await.is_empty());
    rig.audit().await;
}

/// More of its orders than there are places: one place is enough for it, and the others are there for everybody else.
#[tokio::test]
async fn a_provider_that_hangs_holds_up_its_own_orders_only() {
    // It accepts, and never says anything.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rig = Rig::start_with(&format!(
        "[saga]\nconcurrency = 2
         [payments]\ncalls_max = 1\ntimeout_ms = 600000\nreconcile_after_ms = 700000
         [payments.sandbox]\nurl = \"http://{}\"",
        hanging.local_addr().unwrap()
    ))
    .await;
    rig.channel(|channel| channel.outlier_quantity = 10).await;
    let mut order = new_order(&[("B", 11)], "");
    order.payment_method.as_mut().unwrap().provider = "cash_on_delivery".to_owned();
    let order = rig.place(order).await;
    let order = rig
        .until(&order.order_id, "the order to be held", |order| {
            order.phase == "ON_HOLD" && order.lines[0].held == 11
        })
        .await;
    for _ in 0..3 {
        rig.place_only(new_order(&[("A", 1)], "tok_approve")).await;
    }
    until_count(&rig, "SELECT count(*) FROM effects WHERE state = 'SENT'", 3).await;
    // One call has the place; the others were turned away.
    let away =
        "SELECT count(*) FROM sagas JOIN payments USING (order_id) WHERE lease_holder IS NULL";
    until_count(&rig, away, 2).await;
    // Whoever has placed them is not waited for any longer: the driver takes them up.
    rig.clock.advance(Duration::from_secs(31));
    let claimed = "SELECT count(*) FROM sagas JOIN payments USING (order_id) WHERE attempt >= 2";
    until_count(&rig, claimed, 2).await;
    rig.release_hold(&order.holds[0].hold_id).await.unwrap();
    let order = rig.until_done(&order.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
}

#[tokio::test]
async fn an_authorization_whose_answer_was_lost_is_settled_once() {
    let rig = Rig::start().await;
    let placed = rig.place_only(new_order(&[("A", 2)], "tok_timeout")).await;
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(order.totals.unwrap().authorized, usd(2_700));
    assert_eq!(rig.charges().await, 1);
    let settled = "SELECT count(*) FROM effects WHERE state = 'CONFIRMED' AND attempts = 1";
    assert_eq!(rig.count(settled).await, 1);
    let done = rig.actions(&order.order_id).await;
    let authorized = done
        .iter()
        .filter(|action| *action == "authorize_payment")
        .count();
    assert_eq!(authorized, 1);
    rig.audit().await;
}

/// The state that a crash between the provider's booking and our record leaves behind, with nobody driving.
#[tokio::test]
async fn the_reconciler_settles_what_a_crash_left_behind_and_wakes_the_saga() {
    let rig = Rig::start().await;
    let placed = rig.place_only(new_order(&[("A", 1)], "tok_timeout")).await;
    until_count(&rig, IN_DOUBT, 1).await;
    assert_eq!(rig.charges().await, 1);
    // As if the saga slept for hours: only the reconciler looks.
    let mut conn = rig.db.connect().await;
    sqlx::raw_sql(
        "UPDATE sagas SET state = 'WAITING', lease_holder = NULL, lease_until = NULL,
             next_run_at = now() + interval '10 years', attempt = attempt + 1;
         UPDATE effects SET state = 'SENT'; UPDATE payments SET state = 'PENDING'",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    rig.clock.advance(Duration::from_mins(2));
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(rig.charges().await, 1);
    rig.audit().await;
}

#[tokio::test]
async fn an_authorization_that_the_provider_never_saw_is_sent_again_with_its_key() {
    let rig = Rig::start().await;
    // The reserve call waits, so that the payment can be planned before the saga comes to it.
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    rig.peers.trick("Reserve", Trick::Wait(gate.clone()));
    let placed = rig.place_only(new_order(&[("A", 1)], "tok_approve")).await;
    let payment_id = uuid::Uuid::new_v5(
        &placed.order_id.parse().unwrap(),
        b"payment/AUTHORIZATION/order",
    );
    let mut conn = rig.db.connect().await;
    sqlx::query(
        "WITH p AS (
             INSERT INTO payments (payment_id, order_id, kind, state, amount, currency, provider, cause,
                 actor, created_at, updated_at)
             VALUES ($1, $2::uuid, 'AUTHORIZATION', 'PENDING', 1600, 'USD', 'sandbox', 'order',
                 'service:order', now(), now()) RETURNING payment_id)
         INSERT INTO effects (effect_id, kind, idempotency_key, request_hash, state, provider, payment_id,
             created_at, updated_at)
         SELECT gen_random_uuid(), 'AUTHORIZATION', payment_id::text, '', 'SENT', 'sandbox', payment_id,
             now(), now() FROM p",
    )
    .bind(payment_id)
    .bind(&placed.order_id)
    .execute(&mut conn)
    .await
    .unwrap();
    gate.add_permits(1);
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(rig.charges().await, 1);
    let sent = "SELECT count(*) FROM effects WHERE state = 'CONFIRMED' AND attempts = 1";
    assert_eq!(rig.count(sent).await, 1);
    rig.audit().await;
}

#[tokio::test]
async fn an_order_that_expires_after_its_authorization_voids_it() {
    let rig = Rig::start().await;
    // Inventory is down when the held units are to be allocated.
    for _ in 0..3 {
        let down = tonic::Status::unavailable("down");
        rig.peers.trick("ConfirmReservation", Trick::Fail(down));
    }
    let placed = rig.place_only(new_order(&[("A", 1)], "tok_approve")).await;
    wait_for("the allocation to fail", || async {
        let row = rig.saga_row(&placed.order_id).await;
        if row.starts_with("RUNNING allocate inventory") {
            Ok(())
        } else {
            Err(row)
        }
    })
    .await;
    rig.clock.advance(Duration::from_hours(24 * 4));
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Expired);
    assert_eq!(order.totals.unwrap().authorized, usd(0));
    assert_eq!(rig.peers.free("A"), 100);
    let voided = "SELECT count(*) FROM payments WHERE kind = 'VOID' AND state = 'SUCCEEDED'";
    assert_eq!(rig.count(voided).await, 1);
    rig.audit().await;
}

#[tokio::test]
async fn a_card_number_is_refused_wherever_it_is_sent() {
    let rig = Rig::start().await;
    let placed = rig.place(new_order(&[("A", 1)], "tok_approve")).await;
    let request = pb::UpdateOrderRequest {
        request_id: id(),
        order_id: placed.order_id.clone(),
        instructions: Some("charge 4242 4242 4242 4242".to_owned()),
        ..pb::UpdateOrderRequest::default()
    };
    let answer = rig.api.orders.clone().update_order(request).await;
    let error = crate::rig::answered(answer).unwrap_err();
    assert_eq!(error.violations()[0].reason, "CARD_NUMBER_REFUSED");
}
