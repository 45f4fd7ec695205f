//! Commands against a suite that speaks TLS and believes nobody.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod feed;
mod smoke;
mod world;
