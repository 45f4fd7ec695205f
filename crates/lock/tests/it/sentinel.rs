//! A leader that fails, and the replica that its Sentinel puts in its place.

use std::time::Duration;

use oms_lock::{Leases, Token};
use oms_testkit::{PrivateRedis, wait_for};

use crate::holders::{Holders, acquired, eventually_acquired, released, send, token};
use crate::nodes::{Watched, replicated, until_says};
use crate::warehouse::{Warehouse, leased};

const NAME: &str = "sku";
const LONG: Duration = Duration::from_mins(2);

fn holders(watched: &Watched) -> Holders {
    let mut holders = Holders::on(watched.url());
    holders.config.command_timeout = Duration::from_millis(500);
    holders
}

#[tokio::test]
async fn leases_go_on_at_the_leader_that_takes_over() {
    let watched = Watched::start().await;
    let holders = holders(&watched);
    let leases = holders.holder();
    let mut last = None;
    for _ in 0..3 {
        let lease = acquired(&leases, &[NAME]).await;
        let token = token(&lease, NAME);
        assert!(last.replace(token) < Some(token));
        assert_eq!(released(&leases, lease).await, 1);
    }
    replicated(&watched.leader, &watched.replica).await;

    watched.leader.kill();
    let lease = eventually_acquired(&leases, &[NAME]).await;
    assert!(Some(token(&lease, NAME)) > last);
    // At the new leader: its counter was replicated, and goes on.
    assert_eq!(
        Some(token(&lease, NAME).generation()),
        last.map(Token::generation)
    );
    let key = holders.key("lk", NAME);
    let there = send(&watched.replica.url(), "EXISTS", &[&key]).await;
    assert_eq!(there, redis::Value::Int(1));
    assert_eq!(released(&leases, lease).await, 1);
}

/// The old leader is there, but a replica now: it refuses to write.
#[tokio::test]
async fn a_leader_that_was_put_aside_is_left() {
    let watched = Watched::start().await;
    let holders = holders(&watched);
    let leases = holders.holder();
    let lease = acquired(&leases, &[NAME]).await;
    let before = token(&lease, NAME);
    assert_eq!(released(&leases, lease).await, 1);
    replicated(&watched.leader, &watched.replica).await;

    send(&watched.sentinel.url(), "SENTINEL", &["FAILOVER", "stock"]).await;
    until_says(&watched.leader, "INFO", &["replication"], &["role:slave"]).await;
    let lease = eventually_acquired(&leases, &[NAME]).await;
    assert!(token(&lease, NAME) > before);
}

/// Replication is not waited for, so a new leader may count from below what the old one gave out.
#[tokio::test]
async fn a_counter_that_fell_back_in_a_failover_is_fenced_and_begins_a_new_generation() {
    let watched = Watched::start().await;
    let warehouse = Warehouse::new(watched.url()).await;
    let (one, other) = (warehouse.holder(1, LONG), warehouse.holder(2, LONG));
    let first = leased(&one, NAME).await;
    assert!(warehouse.accepts(&first, NAME).await);
    one.release(first).await.unwrap();
    replicated(&watched.leader, &watched.replica).await;
    cut_off(&watched.replica).await;
    turns(&warehouse, &one, 5).await;
    let lost = leased(&one, NAME).await;
    assert!(warehouse.accepts(&lost, NAME).await);

    watched.leader.kill();
    // The new leader knows nothing of the lease that is held, and gives out a number twice.
    let behind = leased(&other, NAME).await;
    assert!(
        token(&behind, NAME) < token(&lost, NAME),
        "the counter fell back"
    );
    assert!(
        !warehouse.accepts(&behind, NAME).await,
        "its tokens are refused"
    );
    assert!(
        warehouse.accepts(&lost, NAME).await,
        "nothing newer was accepted yet"
    );

    let fenced = token(&behind, NAME);
    assert_eq!(other.renew_generation(NAME, fenced).await, Ok(true));
    // Once is enough: the other one, once it has found the new leader, does nothing.
    let renewed = wait_for("the new leader", || async {
        let renewed = one.renew_generation(NAME, fenced).await;
        renewed.map_err(|reason| reason.to_string())
    })
    .await;
    assert!(!renewed);
    other.release(behind).await.unwrap();
    let ahead = leased(&other, NAME).await;
    assert!(token(&ahead, NAME) > token(&lost, NAME));
    assert!(warehouse.accepts(&ahead, NAME).await);
    assert!(
        !warehouse.accepts(&lost, NAME).await,
        "the holder before the failover is out"
    );
}

/// Keeps a replica from hearing its leader any more: it says a password the leader does not have.
async fn cut_off(replica: &PrivateRedis) {
    let url = replica.url();
    send(&url, "CONFIG", &["SET", "masterauth", "wrong"]).await;
    send(&url, "CLIENT", &["KILL", "TYPE", "master"]).await;
    until_says(
        replica,
        "INFO",
        &["replication"],
        &["master_link_status:down"],
    )
    .await;
}

/// Leases that are taken, used and given back.
async fn turns(warehouse: &Warehouse, leases: &Leases, turns: usize) {
    for _ in 0..turns {
        let lease = leased(leases, NAME).await;
        assert!(warehouse.accepts(&lease, NAME).await);
        leases.release(lease).await.unwrap();
    }
}
