//! The shipping service through its own gRPC, on real Postgres. Its peers are small stubs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod carrier_webhooks;
mod crash;
mod labels;
mod packed;
mod peers;
mod reach;
mod requests;
mod rig;
mod shipments;
mod tracking;
