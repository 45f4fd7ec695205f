//! A Redis that is slow, gone, or forgets.

use std::collections::BTreeMap;
use std::time::Duration;

use oms_lock::{Lease, Leases, Token, Unavailable};
use oms_testkit::private_redis;
use uuid::Uuid;

use crate::holders::{
    Holders, LONG, acquired, bounded, busy, eventually_acquired, released, send, token, unavailable,
};

#[tokio::test]
async fn tokens_grow_although_redis_lost_everything() {
    let redis = private_redis().await;
    let holders = Holders::on(redis.url());
    let leases = holders.holder();
    let mut last: BTreeMap<&str, Token> = BTreeMap::new();
    let mut grew = |lease: &Lease| {
        for name in ["a", "b"] {
            let token = token(lease, name);
            assert!(
                last.insert(name, token).is_none_or(|before| before < token),
                "{name}"
            );
        }
    };
    for _ in 0..5 {
        let lease = acquired(&leases, &["a", "b"]).await;
        grew(&lease);
        leases.release(lease).await.unwrap();
    }
    holders.command("FLUSHALL", &[]).await;
    grew(&acquired(&leases, &["a", "b"]).await);

    // A crash ends leases, too.
    redis.restart().unwrap();
    let lease = eventually_acquired(&leases, &["a", "b"]).await;
    grew(&lease);
    leases.release(lease).await.unwrap();

    // Evicted or deleted by hand, one key at a time.
    for kind in ["fc", "gen", "lk"] {
        holders.command("DEL", &[&holders.key(kind, "a")]).await;
        let lease = acquired(&leases, &["a", "b"]).await;
        grew(&lease);
        leases.release(lease).await.unwrap();
    }
}

#[tokio::test]
async fn without_a_generation_there_is_no_lease() {
    let holders = Holders::new().await;
    let broken = Leases::new(holders.config.clone(), Uuid::from_u128(9), || async {
        Err("the database is down".into())
    });
    let reason = unavailable(&broken.unwrap(), &["sku"]).await;
    assert!(
        matches!(&reason, Unavailable::Generation(cause) if cause.contains("down")),
        "{reason}"
    );

    let mut config = holders.config.clone();
    config.generation_timeout = Duration::from_millis(20);
    let hanging = Leases::new(config, Uuid::from_u128(10), std::future::pending);
    let reason = bounded(unavailable(&hanging.unwrap(), &["sku"])).await;
    assert!(matches!(reason, Unavailable::Generation(_)), "{reason}");

    let spent = Leases::new(holders.config.clone(), Uuid::from_u128(11), || async {
        Ok(1 << 31)
    });
    let reason = unavailable(&spent.unwrap(), &["sku"]).await;
    assert!(matches!(reason, Unavailable::Generation(_)), "{reason}");
}

#[tokio::test]
async fn a_redis_that_is_gone_is_unavailable_and_comes_back() {
    let redis = private_redis().await;
    let mut holders = Holders::on(redis.url());
    holders.config.connect_timeout = Duration::from_millis(500);
    holders.config.command_timeout = Duration::from_millis(500);
    let leases = holders.holder();
    let lease = acquired(&leases, &["sku"]).await;
    redis.kill();
    bounded(unavailable(&leases, &["sku"])).await;
    assert!(bounded(leases.release(lease)).await.is_err());
    redis.restart().unwrap();
    let _back = eventually_acquired(&leases, &["sku"]).await;
}

#[tokio::test]
async fn a_redis_that_hangs_is_unavailable_within_the_timeout_and_keeps_nothing() {
    let redis = private_redis().await;
    let mut holders = Holders::on(redis.url());
    let other = holders.holder();
    let patience = Duration::from_millis(500);
    holders.config.command_timeout = patience;
    holders.config.retry_after = LONG;
    let leases = holders.holder();
    // Connected, and with a generation: the next call takes the lease in one step.
    let first = acquired(&leases, &["sku"]).await;
    leases.release(first).await.unwrap();

    redis.pause().unwrap();
    let reason = bounded(unavailable(&leases, &["sku"])).await;
    assert_eq!(reason, Unavailable::Timeout(patience));
    // Those that come next are not made to wait for the same again.
    assert_eq!(
        bounded(unavailable(&leases, &["sku"])).await,
        Unavailable::CoolingDown
    );
    redis.resume().unwrap();
    // What was asked for before the pause is done now, and undone: it would live for two minutes.
    let _free = eventually_acquired(&other, &["sku"]).await;
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_taken() {
    let redis = private_redis().await;
    let holders = Holders::on(redis.url());
    let (leases, other) = (holders.holder(), holders.holder());
    // Connected, and with a generation: the next call takes the lease in one step.
    let first = acquired(&leases, &["sku"]).await;
    leases.release(first).await.unwrap();

    redis.pause().unwrap();
    let sent = async {
        // Lets the connection write: a request that is not written when its caller goes is never.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        outcome = leases.acquire(&["sku"]) => panic!("a paused Redis answered: {outcome:?}"),
        () = sent => {}
    }
    redis.resume().unwrap();
    let _free = eventually_acquired(&other, &["sku"]).await;
}

/// As during a failover or an upgrade, when a proxy or the server itself holds writes back.
#[tokio::test]
async fn a_redis_that_holds_writes_back_is_unavailable_and_keeps_nothing() {
    let redis = private_redis().await;
    let mut holders = Holders::on(redis.url());
    let other = holders.holder();
    let patience = Duration::from_millis(500);
    holders.config.command_timeout = patience;
    let leases = holders.holder();
    let first = acquired(&leases, &["sku"]).await;
    assert_eq!(released(&leases, first).await, 1);

    send(&redis.url(), "CLIENT", &["PAUSE", "60000", "WRITE"]).await;
    let reason = bounded(unavailable(&leases, &["sku"])).await;
    assert_eq!(reason, Unavailable::Timeout(patience));
    send(&redis.url(), "CLIENT", &["UNPAUSE"]).await;
    let _free = eventually_acquired(&other, &["sku"]).await;
}

/// A clock of Redis that is put forward ends leases that their holders still count on.
#[tokio::test]
async fn a_clock_of_redis_that_jumps_ahead_makes_two_holders_whose_tokens_tell_who_is_later() {
    let holders = Holders::new().await;
    let (one, other) = (holders.holder(), holders.holder());
    let early = acquired(&one, &["sku"]).await;
    let lease = holders.key("lk", "sku");
    holders.command("PEXPIRE", &[&lease, "1"]).await;
    let late = eventually_acquired(&other, &["sku"]).await;
    assert!(early.is_fresh(), "its holder cannot know");
    assert!(
        token(&early, "sku") < token(&late, "sku"),
        "the database can"
    );
    assert_eq!(released(&one, early).await, 0);
    assert_eq!(busy(&one, &["sku"]).await, ["sku"]);
    assert_eq!(released(&other, late).await, 1);
}

/// A clock of Redis that is put back, or stands still, keeps leases for longer; their holders go by
/// their own clocks and give them back.
#[tokio::test]
async fn a_clock_of_redis_that_stands_still_blocks_nobody_once_the_holder_is_done() {
    let mut holders = Holders::new().await;
    holders.config.command_timeout = Duration::from_millis(10);
    holders.config.ttl = Duration::from_millis(30);
    let one = holders.holder();
    holders.config.command_timeout = Duration::from_secs(5);
    holders.config.ttl = LONG;
    let other = holders.holder();
    let lease = eventually_acquired(&one, &["sku"]).await;
    holders
        .command("PERSIST", &[&holders.key("lk", "sku")])
        .await;
    oms_testkit::wait_for("two thirds of its life", || async {
        if lease.is_fresh() {
            Err("fresh".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
    one.release(lease).await.ok();
    let _next = eventually_acquired(&other, &["sku"]).await;
}
