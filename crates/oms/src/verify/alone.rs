//! One database by itself, for whoever runs a single service.

use std::collections::HashSet;

use super::invariant::{Database, Test};
use super::server::Databases;
use super::snapshot::Snapshot;
use super::{Finding, Verdict, invariants};

/// Checks the database of one service at this address, at rest, against the invariants that need no other database.
pub(crate) async fn check_alone(url: &str, database: Database) -> anyhow::Result<Verdict> {
    let databases = Databases::at([url; 5], url)?;
    let mut snapshot = Snapshot::open(&databases, database).await?;
    let mut verdict = Verdict::default();
    for invariant in invariants() {
        let Test::Rows(rows) = &invariant.test else {
            continue;
        };
        if !rows.databases.contains(&database) {
            continue;
        }
        let found = snapshot.find(rows, true, &HashSet::new()).await?;
        verdict.invariants.push(Finding {
            name: invariant.name,
            says: invariant.says,
            checked: found.checked,
            violations: found.violations,
            examples: found.examples,
            skipped: None,
        });
    }
    Ok(verdict)
}
