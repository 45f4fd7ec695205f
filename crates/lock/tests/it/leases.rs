//! One Redis that works.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use oms_lock::{ConfigError, LeaseConfig, Leases};
use oms_testkit::private_redis;
use uuid::Uuid;

use crate::holders::{Holders, acquired, busy, eventually_acquired, names, released, send, token};

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
                    assert_eq!(released(&leases, lease).await, 1);
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
    assert_eq!(released(&slow, stale).await, 0);
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
    assert_eq!(released(&leases, lost).await, 0);
    assert_eq!(busy(&leases, &["sku"]).await, ["sku"]);
    assert_eq!(released(&leases, current).await, 1);
}

#[tokio::test]
async fn several_names_are_taken_all_or_none() {
    all_or_none(&Holders::new().await).await;
}

/// On any servers.
pub(crate) async fn all_or_none(holders: &Holders) {
    let (first, second, third) = (holders.holder(), holders.holder(), holders.holder());
    let held = acquired(&first, &["b"]).await;
    assert_eq!(busy(&second, &["c", "a", "b", "a"]).await, ["b"]);
    // Given back, not held while waiting.
    let rest = eventually_acquired(&third, &["a", "c"]).await;
    assert_eq!(names(&rest), ["a", "c"]);

    let free = second.acquire_free(&["a", "b", "c", "d"]).await.unwrap();
    assert_eq!(free.busy, ["a", "b", "c"]);
    assert_eq!(names(&free.lease), ["d"]);
    assert!(free.gone.is_empty());

    assert_eq!(released(&first, held).await, 1);
    assert_eq!(released(&third, rest).await, 2);
    assert_eq!(released(&second, free.lease).await, 1);
    let all = acquired(&first, &["a", "b", "c", "d"]).await;
    assert_eq!(released(&first, all).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn holders_of_overlapping_names_never_block_each_other_for_ever() {
    overlapping(&Holders::new().await).await;
}

/// On any servers.
pub(crate) async fn overlapping(holders: &Holders) {
    let wanted = [["a", "b"], ["b", "c"], ["c", "a"], ["b", "a"]];
    let tasks = wanted.map(|names| {
        let leases = holders.holder();
        tokio::spawn(async move {
            for _ in 0..10 {
                let lease = eventually_acquired(&leases, &names).await;
                assert_eq!(released(&leases, lease).await, 2);
            }
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn no_names_need_no_redis() {
    let holders = Holders::on("redis://127.0.0.1:1/".to_owned());
    assert!(acquired(&holders.holder(), &[]).await.is_empty());
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
    let tls = refused(|config| config.url = "rediss+cluster://localhost".to_owned());
    assert!(tls.to_string().contains("rediss"), "{tls}");
    let nonsense = refused(|config| config.url = "redis://host:port".to_owned());
    assert!(matches!(nonsense, ConfigError::Url(_)));
}

#[test]
fn an_address_is_not_shown() {
    let config = LeaseConfig::new("redis://:hunter2@localhost");
    assert!(!format!("{config:?}").contains("hunter2"));
}

/// The commands that the README tells to allow are enough.
#[tokio::test]
async fn a_user_of_redis_needs_few_rights() {
    let redis = private_redis().await;
    let rights = "+evalsha +script|load +mget +get +set +del +incr";
    let mut user = vec!["SETUSER", "oms", "on", ">p@ss", "~test:*"];
    user.extend(rights.split(' '));
    send(&redis.url(), "ACL", &user).await;
    let holders = Holders::on(format!("redis://oms:p%40ss@127.0.0.1:{}/", redis.port()));
    let (one, other) = (holders.holder(), holders.holder());
    let lease = acquired(&one, &["a", "b"]).await;
    busy(&other, &["a"]).await;
    let fenced = token(&lease, "b");
    assert_eq!(one.renew_generation("b", fenced).await, Ok(true));
    assert_eq!(one.release(lease).await.unwrap().waited_for, ["a"]);
}
