//! The inventory service: items, locations, stock and reservations.
//!
//! It owns what can be stocked and where, how much is there in which bucket, and who it is promised to. Everything that
//! changes stock or reservations goes through the lanes, one writer path with one lock order.
//!
//! - `domain`: the rules; pure.
//! - `lanes`: the writer path: queue, leases, one transaction per batch, sweeper.
//! - `commands`, `queries`: one file per use case.
//! - `store`: the only SQL.
//! - `messages`: domain to protobuf, for answers and events.
//! - `api`: gRPC.
//! - `consumers`, `tasks`: what events of other services lead to.
//! - `app`, `config`: how it is put together.
//!
//! Invariants: no bucket below zero; levels are the sums of the ledger; held and allocated stock equals the open
//! reservations; nothing is booked twice for one cause; events of an aggregate are numbered without a gap.

mod api;
mod app;
mod commands;
mod config;
mod consumers;
mod ctx;
mod domain;
mod lanes;
mod messages;
mod queries;
mod store;
mod tasks;

pub use app::{Inventory, MIGRATOR};
pub use config::{Config, Lanes, Lease, Ledger};
