//! Authorizations whose answers are lost, late or given by somebody else.

use std::time::Duration;

use oms_proto::order::v1 as pb;
use oms_proto::order::v1::OrderState;
use oms_testkit::wait_for;

use crate::peers::Trick;
use crate::rig::{Rig, id, new_order, usd};

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
    rig.until(&placed.order_id, "the authorization to be sent", |order| {
        order.saga_step == "authorize"
    })
    .await;
    wait_for("the provider to have booked", || async {
        match rig.charges().await {
            1 => Ok(()),
            _ => Err("no charge".to_owned()),
        }
    })
    .await;
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
