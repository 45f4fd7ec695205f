//! Who waits for whom: what a holder learns when it gives its leases back.

use std::time::Duration;

use oms_lock::{Lease, Leases};
use oms_testkit::wait_for;

use crate::holders::{Holders, acquired, busy, eventually_acquired, send};

async fn waited_for(leases: &Leases, lease: Lease) -> Vec<String> {
    leases.release(lease).await.unwrap().waited_for
}

#[tokio::test]
async fn a_release_tells_which_names_somebody_else_waits_for() {
    names_that_are_waited_for(&Holders::new().await).await;
}

/// On any servers.
pub(crate) async fn names_that_are_waited_for(holders: &Holders) {
    let (one, other) = (holders.holder(), holders.holder());
    let lease = acquired(&one, &["a", "b", "c"]).await;
    assert_eq!(other.acquire_free(&["b"]).await.unwrap().busy, ["b"]);
    assert_eq!(busy(&other, &["c", "d"]).await, ["c"]);
    assert_eq!(waited_for(&one, lease).await, ["b", "c"]);
}

#[tokio::test]
async fn nobody_waits_where_nobody_was_refused() {
    let holders = Holders::new().await;
    let (one, other) = (holders.holder(), holders.holder());
    let lease = acquired(&one, &["a"]).await;
    let beside = acquired(&other, &["b"]).await;
    assert!(waited_for(&one, lease).await.is_empty());
    assert!(waited_for(&other, beside).await.is_empty());
}

#[tokio::test]
async fn a_holder_does_not_wait_for_itself() {
    let holders = Holders::new().await;
    let leases = holders.holder();
    let lease = acquired(&leases, &["a"]).await;
    assert_eq!(busy(&leases, &["a"]).await, ["a"]);
    assert!(waited_for(&leases, lease).await.is_empty());
}

#[tokio::test]
async fn who_waited_and_got_it_waits_no_more() {
    let holders = Holders::new().await;
    let (one, other) = (holders.holder(), holders.holder());
    let lease = acquired(&one, &["a"]).await;
    assert_eq!(busy(&other, &["a"]).await, ["a"]);
    assert_eq!(waited_for(&one, lease).await, ["a"]);
    let lease = acquired(&other, &["a"]).await;
    assert!(waited_for(&other, lease).await.is_empty());
}

#[tokio::test]
async fn of_two_who_wait_the_second_is_still_seen_when_the_first_has_had_its_turn() {
    let holders = Holders::new().await;
    let (one, second, third) = (holders.holder(), holders.holder(), holders.holder());
    let lease = acquired(&one, &["a"]).await;
    busy(&second, &["a"]).await;
    busy(&third, &["a"]).await;
    assert_eq!(waited_for(&one, lease).await, ["a"]);
    let lease = acquired(&second, &["a"]).await;
    assert_eq!(waited_for(&second, lease).await, ["a"]);
    let lease = acquired(&third, &["a"]).await;
    assert!(waited_for(&third, lease).await.is_empty());
}

#[tokio::test]
async fn who_gave_up_is_forgotten() {
    let mut holders = Holders::new().await;
    holders.config.waiting_ttl = Duration::from_millis(20);
    let (one, other) = (holders.holder(), holders.holder());
    let lease = acquired(&one, &["a"]).await;
    busy(&other, &["a"]).await;
    let waiter = holders.key("wt", "a");
    wait_for("the end of the waiting", || async {
        match send(&holders.config.url, "EXISTS", &[&waiter]).await {
            redis::Value::Int(0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert!(waited_for(&one, lease).await.is_empty());
}

#[tokio::test]
async fn a_lease_that_is_not_ours_any_more_is_in_nobodys_way() {
    let holders = Holders::new().await;
    let (one, other, third) = (holders.holder(), holders.holder(), holders.holder());
    let lost = acquired(&one, &["a"]).await;
    holders.command("DEL", &[&holders.key("lk", "a")]).await;
    let current = acquired(&other, &["a"]).await;
    busy(&third, &["a"]).await;
    assert!(waited_for(&one, lost).await.is_empty());
    assert_eq!(waited_for(&other, current).await, ["a"]);
}

/// A busy holder that gives way when it is told to lets everybody have a turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_way_starves_nobody() {
    let holders = Holders::new().await;
    let (greedy, modest) = (holders.holder(), holders.holder());
    let mut turns = 0;
    let waits = tokio::spawn(async move {
        for _ in 0..20 {
            let lease = eventually_acquired(&modest, &["a"]).await;
            modest.release(lease).await.unwrap();
        }
    });
    while !waits.is_finished() {
        let Ok(free) = greedy.acquire_free(&["a"]).await else {
            continue;
        };
        turns += 1;
        if !waited_for(&greedy, free.lease).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    waits.await.unwrap();
    assert!(turns > 0);
}
