//! The fulfillment service: where orders are fulfilled from, and the work of the warehouse floor.
//!
//! | room | what is in it |
//! |---|---|
//! | `domain` | state machines, counters, sourcing rules |
//! | `commands` | one file per use case, each one transaction |
//! | `tasks` | `resolve_short`: what becomes of units that a picker did not find |
//! | `queries` | one file per read, pick list and packing slip among them |
//! | `changes` | the one way a fulfillment order changes: rows and events together |
//! | `store` | the only SQL |
//! | `clients` | inventory and order |
//! | `consumers` | shipments that left |
//! | `messages` | the domain as messages of the contract |
//! | `api` | gRPC to commands and back |
//!
//! Invariants stand in the README; `oms verify` and the CHECKs of `migrations/` hold them.

mod api;
mod app;
mod changes;
mod clients;
mod commands;
mod config;
mod consumers;
mod ctx;
mod domain;
mod error;
mod messages;
mod queries;
mod store;
mod tasks;

pub use app::Fulfillment;
pub use config::{Config, Sourcing};
