//! The inventory service through its own gRPC, on real Postgres and Redis.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::assigning_clones,
    reason = "helpers of tests fail by panicking; cases of a table are read more often than run"
)]

mod backorders;
mod bad_availability_input;
mod bad_input;
mod by_hand;
mod catalogue;
mod corrections;
mod feeds;
mod kits;
mod ledger;
mod limits;
mod moves;
mod peers;
mod policies;
mod queue;
mod races;
mod replays;
mod reservations;
mod rig;
mod signals;
mod stock;
mod supply;
mod watch;
