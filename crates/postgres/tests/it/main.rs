//! The plumbing on a real Postgres.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod audit;
mod cursor;
mod feed;
mod idempotency;
mod maintenance;
mod migrate;
mod relay;
mod runner;
mod storm;
mod support;
mod tasks;
mod tls;
mod trace;
mod tx;
