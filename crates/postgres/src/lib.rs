//! Postgres done one way: named transactions, migrations, idempotency, outbox, feed, cursors, durable tasks.
//!
//! The README shows each part in use. In short:
//!
//! - [`Db`] is the pool; [`Db::run_tx`] is the only way to open a transaction: named, retried after
//!   conflicts, measured and traced.
//! - [`migrate`] brings a database to the schema of this program, [`schema_check`] refuses an older one.
//! - [`idempotency`] makes a repeated call answer what the first one did.
//! - [`outbox`] -> [`relay`] -> [`feed`]: events leave in dense order after their transactions committed.
//! - [`batch`]: events and request ids of a transaction that did the work of many calls.
//! - [`audit`]: who did what, in a chain of hashes.
//! - [`cursor`] and [`parked`]: reading the feeds of other services.
//! - [`tasks`]: follow-up work that survives the process.
//! - [`maintenance`]: retention and gauges.
//!
//! Invariants: no statement on a hot path costs more as tables grow; no NOTIFY; a wake-up is only
//! ever a hint, and a jittered poll is the guarantee.

pub mod audit;
pub mod batch;
pub mod cursor;
mod db;
mod error;
pub mod feed;
pub mod idempotency;
mod jitter;
pub mod maintenance;
mod migrate;
mod names;
pub mod outbox;
pub mod parked;
mod partitions;
pub mod relay;
mod scope;
mod snapshot;
pub mod tasks;
mod tx;

pub use audit::AuditConfig;
pub use db::{Db, DbConfig, Pulse};
pub use error::{Error, ErrorKind};
pub use migrate::{MIGRATOR, MigrateError, SchemaError, migrate, migrate_url, schema_check};
pub use names::describe_metrics;
pub use snapshot::Snapshot;
pub use tasks::{NewTask, Outcome, RunnerConfig, Task, TaskError, TaskRunner};
pub use tx::Tx;
