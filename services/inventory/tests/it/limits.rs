//! What the queue of the lanes holds: no more than it may, and nobody who has gone.

use std::time::Duration;

use futures::future::join_all;
use oms_testkit::redis_url;
use tonic::{Code, Request};

use crate::rig::{EAST, Rig, hold, id, refusal, wait_for_metric, wait_for_queue};

const IN_FLIGHT: &str = r#"oms_rpc_server_in_flight{service="inventory"}"#;

#[tokio::test]
async fn a_command_whose_deadline_has_passed_is_not_begun() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 9)]).await;
    let blocked = rig.block("A").await;
    let late = hold(&[("A", 4)]);
    let late_id = late.reservation_id.clone();
    let mut api = rig.api.reservations.clone();
    let (in_work, gone, ()) = futures::join!(
        rig.reserve(hold(&[("A", 1)])),
        async {
            // The first is in work: this one queues behind it.
            rig.wait_for_blocked_batch().await;
            let mut request = Request::new(late);
            request.set_timeout(Duration::from_secs(2));
            let answer = api.reserve(request).await;
            // Also the server has given it up.
            wait_for_metric(&format!("{IN_FLIGHT} 1")).await;
            answer
        },
        async {
            wait_for_queue(1).await;
            wait_for_metric(&format!("{IN_FLIGHT} 1")).await;
            blocked.give_back().await;
        },
    );
    in_work.unwrap();
    let code = gone.unwrap_err().code();
    assert!(
        matches!(code, Code::DeadlineExceeded | Code::Cancelled),
        "{code:?}"
    );
    // Whoever came later was served, so that its turn has passed.
    rig.reserve(hold(&[("A", 8)])).await.unwrap();
    let request = oms_proto::inventory::v1::GetReservationRequest {
        reservation_id: late_id,
    };
    let found = rig.api.reservations.clone().get_reservation(request).await;
    assert_eq!(found.unwrap_err().code(), Code::NotFound);
    assert_eq!(rig.units("A", EAST).await, (0, 9, 0));
    rig.audit().await;
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_again() {
    let redis = redis_url().await;
    let rig = Rig::start_configured(1, &redis, "lanes.queue_max = 2").await;
    rig.stock(&[("A", EAST, 9), ("B", EAST, 9)]).await;
    let blocked = rig.block("A").await;
    let (in_work, queued, refused, other, ()) = futures::join!(
        rig.reserve(hold(&[("A", 1)])),
        async {
            rig.wait_for_blocked_batch().await;
            let two = (0..2).map(|_| rig.reserve(hold(&[("A", 1)])));
            join_all(two).await
        },
        async {
            wait_for_queue(2).await;
            let request = hold(&[("A", 1)]);
            let first = rig.reserve(request.clone()).await.unwrap_err();
            (first, request)
        },
        async {
            wait_for_queue(2).await;
            rig.reserve(hold(&[("B", 1)])).await
        },
        async {
            wait_for_queue(2).await;
            wait_for_metric(&format!("{IN_FLIGHT} 3")).await;
            blocked.give_back().await;
        },
    );
    let (error, request) = refused;
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert!(error.retry_after().is_some(), "{error}");
    assert_eq!(
        refusal(other),
        "ResourceExhausted OVERLOADED",
        "also for what is not blocked"
    );
    in_work.unwrap();
    assert!(queued.iter().all(Result::is_ok));
    // The same call later.
    rig.reserve(request).await.unwrap();
    assert_eq!(rig.units("A", EAST).await, (5, 4, 0));
    assert_eq!(refusal(rig.confirm(&id()).await), "NotFound NOT_FOUND");
    rig.audit().await;
}
