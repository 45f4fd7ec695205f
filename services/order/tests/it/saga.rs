//! The saga when things go wrong: failures, lost answers, lost leases, crashes, reservations that run out.

use std::sync::Arc;
use std::time::Duration;

use oms_proto::order::v1 as pb;
use oms_proto::order::v1::OrderState;
use oms_proto::order::v1::exception_service_client::ExceptionServiceClient;
use oms_testkit::wait_for;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use crate::audit::audited;
use crate::peers::Trick;
use crate::rig::{Rig, id, new_order};

const STEPS: [&str; 4] = [
    "ProposeSourcing",
    "Reserve",
    "ConfirmReservation",
    "CreateFulfillmentOrders",
];

/// Every step run twice is the same as once: the first answer of each call is lost.
#[tokio::test]
async fn each_call_may_lose_its_answer_and_is_repeated_with_its_id() {
    let rig = Rig::start().await;
    for method in STEPS {
        rig.peers.trick(method, Trick::LoseAnswer);
    }
    let placed = rig.place_only(new_order(&[("A", 5)], "tok_timeout")).await;
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    for method in STEPS {
        let calls = rig.peers.calls(method);
        assert_eq!(calls.len(), 2, "{method}");
        assert_eq!(calls[0], calls[1], "{method}");
    }
    assert_eq!(rig.peers.free("A"), 95);
    assert_eq!(rig.peers.fulfillment_orders(&order.order_id).len(), 1);
    rig.audit().await;
}

/// A failure at each step before the pivot unwinds to nothing left, when the order's time is up.
#[tokio::test]
async fn a_step_that_fails_for_good_unwinds_when_the_order_expires() {
    for method in ["ProposeSourcing", "Reserve", "ConfirmReservation"] {
        let rig = Rig::start().await;
        // Down for as long as the order lives, however often the step is tried meanwhile.
        for _ in 0..50 {
            rig.peers
                .trick(method, Trick::Fail(Status::unavailable("down")));
        }
        let placed = rig.place_only(new_order(&[("A", 5)], "tok_approve")).await;
        wait_for("the step to fail", || async {
            match rig.count("SELECT max(failures)::int8 FROM sagas").await {
                0 => Err(rig.saga_row(&placed.order_id).await),
                _ => Ok(()),
            }
        })
        .await;
        rig.clock.advance(Duration::from_hours(24 * 4));
        let order = rig.until_done(&placed.order_id).await;
        assert_eq!(order.state(), OrderState::Expired, "{method}");
        assert_eq!(rig.peers.free("A"), 100, "{method}");
        rig.audit().await;
    }
}

/// The order is undone while it is not known whether Reserve happened: it had, and its answer was lost.
#[tokio::test]
async fn an_undo_gives_back_what_may_have_been_reserved() {
    let rig = Rig::start().await;
    rig.peers.trick("Reserve", Trick::LoseAnswer);
    for _ in 0..3 {
        rig.peers
            .trick("Reserve", Trick::Fail(Status::unavailable("down")));
    }
    rig.peers.trick("ReleaseReservation", Trick::LoseAnswer);
    let placed = rig.place_only(new_order(&[("A", 5)], "tok_approve")).await;
    wait_for("the answer to be lost", || async {
        match rig.peers.free("A") {
            95 => Ok(()),
            free => Err(format!("{free} free")),
        }
    })
    .await;
    rig.clock.advance(Duration::from_hours(24 * 4));
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Expired);
    assert_eq!(rig.peers.free("A"), 100);
    assert_eq!(rig.peers.calls("ReleaseReservation").len(), 2);
    rig.audit().await;
}

#[tokio::test]
async fn a_reservation_that_ran_out_is_made_again_under_another_id() {
    let rig = Rig::start().await;
    let gate = Arc::new(Semaphore::new(0));
    rig.peers
        .trick("ConfirmReservation", Trick::Wait(gate.clone()));
    let placed = rig.place_only(new_order(&[("A", 5)], "tok_approve")).await;
    wait_for("the allocation to be asked for", || async {
        match rig.peers.calls("ConfirmReservation").len() {
            0 => Err("not asked".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    rig.peers.expire(&placed.order_id);
    gate.add_permits(1);
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(rig.peers.reservations(&order.order_id).len(), 2);
    assert_eq!(rig.peers.free("A"), 95);
    assert_eq!((order.lines[0].held, order.lines[0].allocated), (0, 5));
    // The authorization from before still covers it.
    assert_eq!(rig.count("SELECT count(*) FROM payments").await, 1);
    rig.audit().await;
}

#[tokio::test]
async fn a_refusal_that_makes_no_sense_parks_the_saga() {
    let rig = Rig::start().await;
    rig.peers.trick(
        "Reserve",
        Trick::Fail(Status::new(Code::InvalidArgument, "no such thing")),
    );
    let placed = rig.place(new_order(&[("A", 5)], "tok_approve")).await;
    assert_eq!(placed.state(), OrderState::Pending);
    let row = rig.saga_row(&placed.order_id).await;
    assert!(
        row.starts_with("STUCK reserve inventory: InvalidArgument"),
        "{row}"
    );
}

#[tokio::test]
async fn failures_without_end_park_the_saga() {
    let rig = Rig::start_with("[saga]\nfailures_max = 3").await;
    for _ in 0..3 {
        rig.peers
            .trick("Reserve", Trick::Fail(Status::unavailable("down")));
    }
    let placed = rig.place_only(new_order(&[("A", 5)], "tok_approve")).await;
    wait_for("the saga to be stuck", || async {
        rig.clock.advance(Duration::from_millis(50));
        let row = rig.saga_row(&placed.order_id).await;
        if row.starts_with("STUCK reserve") {
            Ok(())
        } else {
            Err(row)
        }
    })
    .await;
    assert_eq!(rig.peers.calls("Reserve").len(), 3);
    let failed = "SELECT count(*) FROM saga_steps WHERE step = 'reserve' AND outcome = 'FAILED'";
    assert_eq!(rig.count(failed).await, 3);
}

/// Nobody needs to look any more when the order's time is up: unless it is the unwinding that cannot go on.
#[tokio::test]
async fn an_order_that_waits_for_a_person_expires_but_not_out_of_its_unwinding() {
    let rig = Rig::start().await;
    let no_sense = || Trick::Fail(Status::new(Code::InvalidArgument, "no such thing"));
    rig.peers.trick("ReleaseReservation", no_sense());
    let unwinding = rig.place(new_order(&[("B", 5)], "tok_decline")).await;
    // The answer of Reserve is lost, and its repeat is refused: there is something to give back.
    rig.peers.trick("Reserve", Trick::LoseAnswer);
    rig.peers.trick("Reserve", no_sense());
    let waiting = rig.place_only(new_order(&[("A", 5)], "tok_approve")).await;
    wait_for("both to be parked", || async {
        rig.clock.advance(Duration::from_millis(50));
        match rig.exceptions().await.len() {
            2 => Ok(()),
            count => Err(format!(
                "{count}: {}",
                rig.saga_row(&waiting.order_id).await
            )),
        }
    })
    .await;
    assert_eq!(rig.peers.free("A"), 95);
    rig.clock.advance(Duration::from_hours(24 * 4));
    let order = rig.until_done(&waiting.order_id).await;
    assert_eq!(order.state(), OrderState::Expired);
    assert_eq!(order.state_reason, "NOT_CONFIRMED_IN_TIME");
    assert_eq!(rig.peers.free("A"), 100);
    let row = rig.saga_row(&unwinding.order_id).await;
    assert!(row.starts_with("STUCK reserve"), "{row}");
    assert_eq!(rig.peers.free("B"), 95);
}

/// A defect in our own books is no reason to try forever, and once it is mended the order goes on.
#[tokio::test]
async fn a_result_that_cannot_be_written_parks_the_saga_until_somebody_retries() {
    let rig = Rig::start().await;
    let mut conn = rig.db.connect().await;
    sqlx::raw_sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON timeline FOR EACH ROW WHEN (new.action = 'confirm')
             EXECUTE FUNCTION refuse()",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let placed = rig.place(new_order(&[("A", 5)], "tok_approve")).await;
    assert_eq!(placed.state(), OrderState::Pending);
    let row = rig.saga_row(&placed.order_id).await;
    assert!(
        row.starts_with("STUCK allocate the result cannot be written"),
        "{row}"
    );
    assert!(!row.contains("RAISE") && !row.contains("INSERT"), "{row}");

    sqlx::raw_sql("DROP TRIGGER refuse ON timeline")
        .execute(&mut conn)
        .await
        .unwrap();
    let mut exceptions = ExceptionServiceClient::new(rig.api.channel.clone());
    let list = pb::ListExceptionsRequest::default();
    let listed = exceptions
        .list_exceptions(list)
        .await
        .unwrap()
        .into_inner()
        .exceptions;
    assert_eq!(
        (listed[0].order_id.as_str(), listed[0].step.as_str()),
        (placed.order_id.as_str(), "allocate")
    );
    let retry = pb::RetryExceptionRequest {
        request_id: id(),
        exception_id: listed[0].exception_id.clone(),
        note: "trigger removed".to_owned(),
    };
    exceptions.retry_exception(retry).await.unwrap();
    assert_eq!(audited(&rig, "RetryException").await, 1);
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    rig.audit().await;
}

/// The worker sleeps inside a call until long after its lease; its successor has finished the order.
#[tokio::test]
async fn a_result_is_dropped_when_another_driver_has_the_saga() {
    let mut rig = Rig::start().await;
    let gate = Arc::new(Semaphore::new(0));
    rig.peers.trick("Reserve", Trick::Wait(gate.clone()));
    let placed = rig.place_only(new_order(&[("A", 5)], "tok_approve")).await;
    wait_for("the first worker to be inside of the call", || async {
        match rig.peers.calls("Reserve").len() {
            0 => Err("not called".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    rig.another_replica().await;
    rig.clock.advance(Duration::from_secs(31));
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    let version = order.etag.clone();
    gate.add_permits(1);
    wait_for("the first worker's call to be answered", || async {
        match gate.available_permits() {
            0 => Ok(()),
            _ => Err("still waiting".to_owned()),
        }
    })
    .await;
    // Another order by the same replica goes through after it, so its result has been dropped by then.
    let other = rig.place(new_order(&[("B", 1)], "tok_approve")).await;
    rig.until_done(&other.order_id).await;
    let order = rig.get(&order.order_id).await;
    assert_eq!(order.etag, version);
    assert_eq!(rig.peers.free("A"), 95);
    let reserved = format!(
        "SELECT count(*) FROM saga_steps WHERE order_id = '{}' AND step = 'reserve' AND outcome = 'SUCCEEDED'",
        order.order_id
    );
    assert_eq!(rig.count(&reserved).await, 1);
    rig.audit().await;
}

#[tokio::test]
async fn a_replica_that_dies_in_a_step_is_replaced() {
    for method in STEPS {
        let mut rig = Rig::start().await;
        let gate = Arc::new(Semaphore::new(0));
        rig.peers.trick(method, Trick::Wait(gate.clone()));
        let placed = rig.place_only(new_order(&[("A", 5)], "tok_approve")).await;
        wait_for("the step to be under way", || async {
            match rig.peers.calls(method).len() {
                0 => Err("not called".to_owned()),
                _ => Ok(()),
            }
        })
        .await;
        let api = rig.another_replica().await;
        rig.kill_first().await;
        rig.api = api;
        rig.clock.advance(Duration::from_secs(31));
        let order = rig.until_done(&placed.order_id).await;
        assert_eq!(order.state(), OrderState::Confirmed, "{method}");
        assert_eq!(rig.peers.free("A"), 95, "{method}");
        assert_eq!(
            rig.peers.fulfillment_orders(&order.order_id).len(),
            1,
            "{method}"
        );
        rig.audit().await;
    }
}

#[tokio::test]
async fn two_hundred_buyers_for_fifty_units_buy_fifty() {
    let mut rig = Rig::start().await;
    rig.peers.stock("A", 50);
    rig.another_replica().await;
    let buyers = (0..200).map(|_| rig.place_only(new_order(&[("A", 1)], "tok_approve")));
    let placed = futures::future::join_all(buyers).await;
    let mut confirmed = 0;
    for order in placed {
        let order = rig.until_done(&order.order_id).await;
        match order.state() {
            OrderState::Confirmed => confirmed += 1,
            state => assert_eq!(
                (state, order.state_reason.as_str()),
                (OrderState::Rejected, "OUT_OF_STOCK")
            ),
        }
    }
    assert_eq!((confirmed, rig.peers.free("A")), (50, 0));
    rig.audit().await;
}
