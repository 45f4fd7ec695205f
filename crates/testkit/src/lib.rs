//! Dev only: private engines, a database per test, a mock clock, an OTLP collector tests can read.
//!
//! - [`postgres_url`], [`redis_url`]: the engines of this test run
//! - [`private_postgres`], [`private_redis`]: engines of one test alone, to kill and pause
//! - [`private_redis_as`]: likewise a replica, a Sentinel or a node of a Cluster
//! - [`TestDb`]: a migrated database of one test, cloned from a template
//! - [`RedisPrefix`]: the part of Redis that belongs to one test
//! - [`MockClock`], [`SeqIds`]: time and ids that a test controls
//! - [`Collector`]: receives the spans that the code under test exports
//! - [`Feed`]: the event feed of a peer that a test plays
//! - [`wait_for`]: waits for something to become true, bounded, with the last status in the message
//!
//! Knows no service. Helpers panic when they cannot do their work, as tests do.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "only tests use this crate, and a test fails by panicking"
)]

mod clock;
mod collector;
mod engines;
mod feed;
mod ids;
mod redis;
mod test_db;
mod wait;

pub use clock::MockClock;
pub use collector::{Collector, Link, Span};
pub use engines::{
    PrivatePostgres, PrivateRedis, postgres_url, private_postgres, private_redis, private_redis_as,
    redis_url,
};
pub use feed::Feed;
pub use ids::SeqIds;
pub use oms_engines::Role;
pub use redis::RedisPrefix;
pub use test_db::{TestDb, template_key};
pub use wait::wait_for;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// A short text no other test of this or any other process has; fit for names in engines.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // The standard library seeds every hasher from the system's randomness.
    let random = RandomState::new().hash_one((std::process::id(), count));
    format!("{random:016x}")
}
