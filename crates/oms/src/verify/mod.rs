//! The verifier: what must be true of the five databases. It has SQL of its own and shares no code with the
//! services, so that a defect of theirs cannot hide from it.

use comfy_table::Table;
use serde::Serialize;

use crate::cli::VerifyArgs;

/// What the verifier found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    /// One entry per invariant.
    pub invariants: Vec<Finding>,
}

/// How often one invariant is violated.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Name of the invariant, such as `stock.bucket_equals_ledger`.
    pub name: &'static str,
    /// What it says, for people.
    pub says: &'static str,
    /// Violations.
    pub violations: u64,
    /// Some of the violations, for people.
    pub examples: Vec<String>,
}

impl Verdict {
    /// Violations over all invariants.
    pub fn violations(&self) -> u64 {
        self.invariants
            .iter()
            .map(|finding| finding.violations)
            .sum()
    }

    /// One line per invariant.
    pub fn table(&self) -> Table {
        Table::new()
    }

    /// The verdict in a sentence.
    pub fn sentence(&self) -> String {
        format!(
            "{} invariants checked, {} violations",
            self.invariants.len(),
            self.violations()
        )
    }
}

/// Checks the databases of a Postgres server. `at_rest` judges relations between services everywhere, otherwise
/// only where neither side has changed for a minute.
///
/// # Errors
/// When a database cannot be read.
pub async fn run(_postgres_url: &str, _at_rest: bool) -> anyhow::Result<Verdict> {
    Ok(Verdict::default())
}

/// `oms verify`; true when nothing is violated.
pub(crate) async fn command(_args: &VerifyArgs) -> anyhow::Result<bool> {
    anyhow::bail!("not there yet")
}
