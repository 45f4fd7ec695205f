//! A verification of the ledger, as far as it has come.

use time::OffsetDateTime;
use uuid::Uuid;

/// A run over SKUs in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// Id.
    pub(crate) id: Uuid,
    /// Who asked for it.
    pub(crate) requested_by: String,
    /// Whether it reads from the first entry instead of from the checkpoints.
    pub(crate) is_full: bool,
    /// Whether it looks at some SKUs only.
    pub(crate) is_partial: bool,
    /// SKUs up to this one are done; empty at the beginning.
    pub(crate) after_sku: String,
    /// What it has seen so far.
    pub(crate) seen: Seen,
    /// The first corrections that it has proposed or found to be still true.
    pub(crate) corrections: Vec<Uuid>,
    /// When it began.
    pub(crate) started_at: OffsetDateTime,
    /// When it was done.
    pub(crate) finished_at: Option<OffsetDateTime>,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// SKUs.
    pub(crate) skus: i64,
    /// Ledger entries.
    pub(crate) entries: i64,
    /// Levels of which the books disagree.
    pub(crate) levels_drifted: i64,
    /// Highest entry.
    pub(crate) last_entry_id: i64,
}
