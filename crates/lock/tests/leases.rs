//! The lease on a real Redis, including one that is killed, paused or emptied.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use oms_lock::{ConfigError, Lease, LeaseConfig, Leases, Outcome, Placement, Token, Unavailable};
use oms_testkit::{RedisPrefix, private_redis, redis_url, wait_for};
use uuid::Uuid;

/// Long enough that nothing expires during a test that is not about expiry.
const LONG: Duration = Duration::from_mins(2);

/// Stands in for the sequence in the database.
#[derive(Clone)]
struct Sequence(Arc<AtomicI64>);

impl Sequence {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1)))
    }
}

/// Several holders of leases on one Redis under one prefix.
struct Holders {
    config: LeaseConfig,
    generations: Sequence,
    made: AtomicUsize,
}

impl Holders {
    async fn new() -> Self {
        Self::on(redis_url().await)
    }

    fn on(url: String) -> Self {
        let mut config = LeaseConfig::new(url);
        config.key_prefix = RedisPrefix::new().to_string();
        config.ttl = LONG;
        // Only the tests about a Redis that does not answer wait for these.
        config.connect_timeout = Duration::from_secs(5);
        config.command_timeout = Duration::from_secs(5);
        Self {
            config,
            generations: Sequence::new(),
            made: AtomicUsize::new(0),
        }
    }

    /// Another process, as far as leases are concerned.
    fn holder(&self) -> Leases {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        let generations = self.generations.clone();
        let next = move || {
            let next = generations.0.fetch_add(1, Ordering::SeqCst);
            async move { Ok(next) }
        };
        Leases::new(
            self.config.clone(),
            Uuid::from_u128(number as u128 + 1),
            next,
        )
        .unwrap()
    }

    async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.config.url.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    async fn command(&self, name: &str, arguments: &[&str]) {
        let mut command = redis::cmd(name);
        command
            .arg(arguments)
            .exec_async(&mut self.redis().await)
            .await
            .unwrap();
    }

    fn key(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}:{{{name}}}", self.config.key_prefix)
    }
}

async fn acquired(leases: &Leases, names: &[&str]) -> Lease {
    match leases.acquire(names).await {
        Outcome::Acquired(lease) => lease,
        other => panic!("expected {names:?} to be free: {other:?}"),
    }
}

async fn busy(leases: &Leases, names: &[&str]) -> Vec<String> {
    match leases.acquire(names).await {
        Outcome::Busy(names) => names,
        other => panic!("expected one of {names:?} to be held: {other:?}"),
    }
}

async fn unavailable(leases: &Leases, names: &[&str]) -> Unavailable {
    match leases.acquire(names).await {
        Outcome::Unavailable(reason) => reason,
        other => panic!("expected no Redis: {other:?}"),
    }
}

/// Waits until the leases can be got, as after a restart of Redis.
async fn eventually_acquired(leases: &Leases, names: &[&str]) -> Lease {
    wait_for("the lease", || async {
        match leases.acquire(names).await {
            Outcome::Acquired(lease) => Ok(lease),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

fn token(lease: &Lease, name: &str) -> Token {
    lease.token(name).unwrap()
}

/// Fails a call that hangs, with a bound far above every timeout.
async fn bounded<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), call)
        .await
        .expect("the call hangs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_holder_at_a_time_and_tokens_grow() {
    const TASKS: usize = 12;
    const TURNS: usize = 20;
    let holders = Holders::new().await;
    let inside = Arc::new(AtomicUsize::new(0));
    let last = Arc::new(AtomicI64::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (leases, inside, last) = (holders.holder(), Arc::clone(&inside), Arc::clone(&last));
            tokio::spawn(async move {
                for _ in 0..TURNS {
                    let lease = eventually_acquired(&leases, &["sku"]).await;
                    assert_eq!(
                        inside.fetch_add(1, Ordering::SeqCst),
                        0,
                        "two holders at once"
                    );
                    let token = token(&lease, "sku").get();
                    assert!(
                        last.swap(token, Ordering::SeqCst) < token,
                        "a token went back"
                    );
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    assert_eq!(leases.release(lease).await, Ok(1));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_lease_that_expired_is_fenced_and_cannot_end_the_next_one() {
    let mut holders = Holders::new().await;
    holders.config.ttl = Duration::from_millis(1_500);
    holders.config.command_timeout = Duration::from_millis(500);
    let (slow, next) = (holders.holder(), holders.holder());
    let stale = acquired(&slow, &["sku"]).await;
    let current = eventually_acquired(&next, &["sku"]).await;
    assert!(
        token(&stale, "sku") < token(&current, "sku"),
        "the database can tell them apart"
    );
    assert!(!stale.is_fresh(), "its holder can see that it is too old");

    // Redis says so too: nothing of it is left to release. The new one may have expired by now.
    let value = format!("{}/next", next.holder());
    holders
        .command("SET", &[&holders.key("lk", "sku"), &value])
        .await;
    assert_eq!(slow.release(stale).await, Ok(0));
    assert_eq!(
        busy(&slow, &["sku"]).await,
        ["sku"],
        "the other lease is still there"
    );
    let _expired = next.release(current).await;
}

#[tokio::test]
async fn a_holder_cannot_end_a_later_lease_of_its_own() {
    let holders = Holders::new().await;
    let leases = holders.holder();
    let lost = acquired(&leases, &["sku"]).await;
    holders.command("DEL", &[&holders.key("lk", "sku")]).await;
    let current = acquired(&leases, &["sku"]).await;
    assert_eq!(leases.release(lost).await, Ok(0));
    assert_eq!(busy(&leases, &["sku"]).await, ["sku"]);
    assert_eq!(leases.release(current).await, Ok(1));
}

#[tokio::test]
async fn several_names_are_taken_all_or_none() {
    for placement in [Placement::OneNode, Placement::ManyNodes] {
        let mut holders = Holders::new().await;
        holders.config.placement = placement;
        let (first, second, third) = (holders.holder(), holders.holder(), holders.holder());
        let held = acquired(&first, &["b"]).await;
        assert_eq!(
            busy(&second, &["c", "a", "b", "a"]).await,
            ["b"],
            "{placement:?}"
        );
        // Given back, not held while waiting.
        let rest = eventually_acquired(&third, &["a", "c"]).await;
        assert_eq!(
            rest.tokens().map(|(name, _)| name).collect::<Vec<_>>(),
            ["a", "c"]
        );

        let free = second.acquire_free(&["a", "b", "c", "d"]).await.unwrap();
        assert_eq!(free.busy, ["a", "b", "c"]);
        assert_eq!(
            free.lease
                .tokens()
                .map(|(name, _)| name)
                .collect::<Vec<_>>(),
            ["d"]
        );

        assert_eq!(first.release(held).await, Ok(1));
        assert_eq!(third.release(rest).await, Ok(2));
        assert_eq!(second.release(free.lease).await, Ok(1));
        let all = acquired(&first, &["a", "b", "c", "d"]).await;
        assert_eq!(first.release(all).await, Ok(4));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn holders_of_overlapping_names_never_block_each_other_for_ever() {
    for placement in [Placement::OneNode, Placement::ManyNodes] {
        let mut holders = Holders::new().await;
        holders.config.placement = placement;
        let wanted = [["a", "b"], ["b", "c"], ["c", "a"], ["b", "a"]];
        let tasks = wanted.map(|names| {
            let leases = holders.holder();
            tokio::spawn(async move {
                for _ in 0..10 {
                    let lease = eventually_acquired(&leases, &names).await;
                    assert_eq!(leases.release(lease).await, Ok(2));
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
    }
}

#[tokio::test]
async fn no_names_need_no_redis() {
    let holders = Holders::on("redis://127.0.0.1:1/".to_owned());
    assert!(acquired(&holders.holder(), &[]).await.is_empty());
}

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
async fn a_counter_that_is_used_up_begins_a_new_generation() {
    let holders = Holders::new().await;
    let leases = holders.holder();
    let first = acquired(&leases, &["sku"]).await;
    let before = token(&first, "sku");
    leases.release(first).await.unwrap();
    holders
        .command(
            "SET",
            &[&holders.key("fc", "sku"), &(u32::MAX - 1).to_string()],
        )
        .await;
    let last = acquired(&leases, &["sku"]).await;
    let end = token(&last, "sku");
    assert_eq!(end.generation(), before.generation());
    leases.release(last).await.unwrap();
    let next = acquired(&leases, &["sku"]).await;
    assert!(token(&next, "sku") > end);
    assert!(token(&next, "sku").generation() > before.generation());
}

#[tokio::test]
async fn a_fenced_token_renews_the_generation_once() {
    let holders = Holders::new().await;
    let (one, other) = (holders.holder(), holders.holder());
    let lease = acquired(&one, &["sku"]).await;
    let fenced = token(&lease, "sku");
    let renewed = tokio::join!(
        one.renew_generation("sku", fenced),
        other.renew_generation("sku", fenced)
    );
    assert!(
        matches!(renewed, (Ok(true), Ok(false)) | (Ok(false), Ok(true))),
        "{renewed:?}"
    );
    one.release(lease).await.unwrap();
    let next = acquired(&other, &["sku"]).await;
    assert!(token(&next, "sku").generation() > fenced.generation());
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

#[test]
fn configurations_that_cannot_work_are_refused() {
    let next = || async { Ok(1) };
    let refused = |change: fn(&mut LeaseConfig)| {
        let mut config = LeaseConfig::new("redis://localhost");
        change(&mut config);
        Leases::new(config, Uuid::nil(), next).err().unwrap()
    };
    let braces = refused(|config| config.key_prefix = "{x}".to_owned());
    assert!(matches!(braces, ConfigError::PrefixWithBraces(_)));
    let short = refused(|config| config.ttl = Duration::from_millis(200));
    assert!(matches!(short, ConfigError::TtlTooShort { .. }));
    let cluster = refused(|config| config.url = "redis+cluster://a,b".to_owned());
    assert!(cluster.to_string().contains("redis+cluster"), "{cluster}");
    let nonsense = refused(|config| config.url = "redis://host:port".to_owned());
    assert!(matches!(nonsense, ConfigError::Url(_)));
}
