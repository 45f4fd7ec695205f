//! The hand-written transactions.

use super::catalogue::{HOT_PREFIX, SPREAD_PREFIX};
use crate::bench::pgbench::Script;

/// A transaction with a statement per step.
const CLASSIC: (&str, &str) = (
    "reserve_classic.sql",
    include_str!("../../../../../bench/reserve_classic.sql"),
);
/// The same writes in one statement.
const SINGLE_STATEMENT: (&str, &str) = (
    "reserve_single_statement.sql",
    include_str!("../../../../../bench/reserve_single_statement.sql"),
);

/// A hand-written transaction and what it takes units of.
#[derive(Debug, Clone)]
pub(super) struct Floor {
    /// Name for people.
    pub(super) name: &'static str,
    script: (&'static str, &'static str),
    variables: [(&'static str, String); 2],
}

impl Floor {
    /// A statement per step, all clients on one SKU.
    pub(super) fn classic() -> Self {
        Self::of("classic transaction", CLASSIC, HOT_PREFIX, 1)
    }

    /// One statement, all clients on one SKU.
    pub(super) fn single_statement() -> Self {
        Self::of("single statement", SINGLE_STATEMENT, HOT_PREFIX, 1)
    }

    /// One statement, clients spread over so many SKUs.
    pub(super) fn single_statement_spread(skus: u32) -> Self {
        Self::of("single statement", SINGLE_STATEMENT, SPREAD_PREFIX, skus)
    }

    fn of(
        name: &'static str,
        script: (&'static str, &'static str),
        prefix: &str,
        skus: u32,
    ) -> Self {
        Self {
            name,
            script,
            variables: [("prefix", prefix.to_owned()), ("skus", skus.to_string())],
        }
    }

    /// As pgbench takes it.
    pub(super) fn script(&self) -> Script<'_> {
        let (name, text) = self.script;
        Script {
            name,
            text,
            variables: &self.variables,
        }
    }
}
