//! The audit log: who did what, in a chain of hashes that shows every later change.
//!
//! Nobody calls this module to have something audited. [`idempotency::record`](crate::idempotency::record) and
//! [`batch::leave`](crate::batch::leave) leave a row for every mutating call in its own transaction, and events are
//! in the feed anyway; the [`Auditor`] chains both after their transactions committed.

mod chain;
mod entry;
mod list;

pub use chain::{AuditConfig, Auditor, AuditorConfig, spawn};
pub(crate) use chain::{drop_old_partitions, pending};
pub use entry::{Entry, Hash, Kind, ZERO_HASH};
pub use list::{Filter, Head, Listed, head, list};
