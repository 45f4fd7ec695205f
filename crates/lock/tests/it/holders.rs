//! Holders of leases, and shorthands for what they do.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use oms_lock::{Lease, LeaseConfig, Leases, Outcome, Token, Unavailable};
use oms_testkit::{RedisPrefix, redis_url, wait_for};
use uuid::Uuid;

/// Long enough that nothing expires during a test that is not about expiry.
pub(crate) const LONG: Duration = Duration::from_mins(2);

/// Stands in for the sequence in the database.
#[derive(Clone)]
struct Sequence(Arc<AtomicI64>);

/// Several holders of leases on one Redis under one prefix.
pub(crate) struct Holders {
    pub(crate) config: LeaseConfig,
    generations: Sequence,
    made: AtomicUsize,
}

impl Holders {
    pub(crate) async fn new() -> Self {
        Self::on(redis_url().await)
    }

    pub(crate) fn on(url: String) -> Self {
        let mut config = LeaseConfig::new(url);
        config.key_prefix = RedisPrefix::new().to_string();
        config.ttl = LONG;
        config.waiting_ttl = LONG;
        // Only the tests about a Redis that does not answer wait for these.
        config.connect_timeout = Duration::from_secs(5);
        config.command_timeout = Duration::from_secs(5);
        Self {
            config,
            generations: Sequence(Arc::new(AtomicI64::new(1))),
            made: AtomicUsize::new(0),
        }
    }

    /// Another process, as far as leases are concerned.
    pub(crate) fn holder(&self) -> Leases {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        let generations = self.generations.clone();
        let next = move || {
            let next = generations.0.fetch_add(1, Ordering::SeqCst);
            async move { Ok(next) }
        };
        let holder = Uuid::from_u128(number as u128 + 1);
        Leases::new(self.config.clone(), holder, next).unwrap()
    }

    /// Sends a command past the leases, to a Redis that is no Cluster.
    pub(crate) async fn command(&self, name: &str, arguments: &[&str]) {
        send(&self.config.url, name, arguments).await;
    }

    pub(crate) fn key(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}:{{{name}}}", self.config.key_prefix)
    }
}

/// Sends a command to the server at this address.
pub(crate) async fn send(url: &str, name: &str, arguments: &[&str]) -> redis::Value {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd(name);
    command.arg(arguments);
    command.query_async(&mut connection).await.unwrap()
}

/// What a command answers as text.
pub(crate) async fn ask(url: &str, name: &str, arguments: &[&str]) -> String {
    redis::from_redis_value(send(url, name, arguments).await).unwrap()
}

pub(crate) async fn acquired(leases: &Leases, names: &[&str]) -> Lease {
    match leases.acquire(names).await {
        Outcome::Acquired(lease) => lease,
        other => panic!("expected {names:?} to be free: {other:?}"),
    }
}

pub(crate) async fn busy(leases: &Leases, names: &[&str]) -> Vec<String> {
    match leases.acquire(names).await {
        Outcome::Busy(names) => names,
        other => panic!("expected one of {names:?} to be held: {other:?}"),
    }
}

pub(crate) async fn unavailable(leases: &Leases, names: &[&str]) -> Unavailable {
    match leases.acquire(names).await {
        Outcome::Unavailable(reason) => reason,
        other => panic!("expected no Redis: {other:?}"),
    }
}

/// Waits until the leases can be got, as after a restart of Redis.
pub(crate) async fn eventually_acquired(leases: &Leases, names: &[&str]) -> Lease {
    wait_for("the lease", || async {
        match leases.acquire(names).await {
            Outcome::Acquired(lease) => Ok(lease),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// Gives a lease back and tells how many names were still ours.
pub(crate) async fn released(leases: &Leases, lease: Lease) -> usize {
    leases.release(lease).await.unwrap().released
}

pub(crate) fn token(lease: &Lease, name: &str) -> Token {
    lease.token(name).unwrap()
}

pub(crate) fn names(lease: &Lease) -> Vec<&str> {
    lease.tokens().map(|(name, _)| name).collect()
}

/// Fails a call that hangs, with a bound far above every timeout.
pub(crate) async fn bounded<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), call)
        .await
        .expect("the call hangs")
}
