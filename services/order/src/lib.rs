//! The order service: orders, lines, holds, payments, invoices, and the order-to-cash saga.
//!
//! | room | what is in it |
//! |---|---|
//! | [`domain`] | pure rules: what may be ordered, what it costs, which command is legal, what the saga does next |
//! | [`store`] | the only SQL |
//! | [`changes`] | the one way in which an order changes: locked, one event, one row of the timeline |
//! | [`commands`], [`queries`] | one file per use case |
//! | [`saga`] | the place-order saga: driver, and one file per step |
//! | [`payments`] | the port to payment providers and its adapters, the effect ledger's runner and reconciler |
//! | [`privacy`] | keys, sealed personal data, erasure |
//! | [`webhooks`] | the service's own feed, pushed to endpoints outside |
//! | [`clients`] | what the service asks of inventory and fulfillment |
//! | [`consumers`] | what it does with other services' events |
//! | [`tasks`] | follow-up work that survives the process |
//! | [`messages`] | domain to protobuf, for answers and for events |
//! | [`api`] | gRPC: requests to commands, errors to statuses |
//! | [`app`], [`config`], [`ctx`] | how it is put together |
//!
//! Invariants: an order's version is the number of its last event, without a gap; a captured amount never
//! exceeds what was authorized, a refund never what was captured; a final order holds no stock and no open
//! authorization once its saga is done; nothing is sent to a provider before it is written down.

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
mod payments;
mod privacy;
mod queries;
mod saga;
mod store;
mod tasks;
mod webhooks;

pub use app::{MIGRATOR, Order};
pub use config::Config;
