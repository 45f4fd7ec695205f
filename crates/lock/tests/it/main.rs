//! The lease on real engines, including ones that are killed, paused, emptied and replaced.
//!
//! - `leases`: one Redis; `tls`: one behind TLS; `waiting`: who waits for whom; `faults`: a Redis that is slow, gone or
//!   forgets; `sentinel`, `cluster`: many
//! - `fencing`: the other half, a row in Postgres that refuses whose lease is not the latest
//! - `batches`: several names under one lease, by many holders, with and without faults
//! - `holders`, `nodes`, `warehouse`: what they share

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod batches;
mod cluster;
mod faults;
mod fencing;
mod health;
mod holders;
mod leases;
mod nodes;
mod sentinel;
mod tls;
mod waiting;
mod warehouse;
