//! The fulfillment service through its own gRPC, on real Postgres. Its peers are small stubs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod cancel;
mod create;
mod documents;
mod packing;
mod peers;
mod picking;
mod refused;
mod replay;
mod rig;
mod shipped;
mod short;
mod sourcing;
