//! The returns service through its own gRPC, on real Postgres. Its peers are small stubs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod illegal;
mod journey;
mod label;
mod lists;
mod money;
mod peers;
mod refused;
mod replay;
mod rig;
mod taken;
