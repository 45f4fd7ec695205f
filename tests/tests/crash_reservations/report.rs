//! What came of a sale, for people.

use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use oms_tests::books::Units;
use oms_tests::crash::say;
use oms_tests::summary::{Row, append, percentile};

use crate::faults::Struck;
use crate::plan::{Plan, Scenario};

/// Violations that are told one by one.
const TOLD: usize = 20;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    name: &'static str,
    seed: u64,
    pub(crate) buyers: usize,
    units: i64,
    pub(crate) struck: Vec<Struck>,
    /// Units that somebody has in the end.
    pub(crate) sold: i64,
    /// Buyers for whom there was not enough.
    pub(crate) refused: usize,
    /// Calls that were made again.
    pub(crate) retries: usize,
    /// Commands that went without a lease.
    pub(crate) bypassed: f64,
    /// Batches that were refused for a stale lease.
    pub(crate) fenced: f64,
    pub(crate) sold_in: Duration,
    pub(crate) oversold: i64,
    pub(crate) undersold: i64,
    /// Acknowledged, and not there as it was acknowledged.
    pub(crate) missing: Vec<String>,
    /// Done more than once.
    pub(crate) doubled: Vec<String>,
    /// Everything else that must not be.
    pub(crate) other: Vec<String>,
}

impl Outcome {
    pub(crate) fn new(scenario: &Scenario, seed: u64, plan: &Plan) -> Self {
        Self {
            name: scenario.name,
            seed,
            buyers: 0,
            units: plan.stock.values().sum(),
            struck: Vec::new(),
            sold: 0,
            refused: 0,
            retries: 0,
            bypassed: 0.0,
            fenced: 0.0,
            sold_in: Duration::ZERO,
            oversold: 0,
            undersold: 0,
            missing: Vec::new(),
            doubled: Vec::new(),
            other: Vec::new(),
        }
    }

    pub(crate) fn violations(&self) -> usize {
        let units = usize::try_from(self.oversold + self.undersold).unwrap_or(usize::MAX);
        units + self.missing.len() + self.doubled.len() + self.other.len()
    }

    /// Seconds from each fault until sales went on.
    fn recovered(&self) -> Vec<f64> {
        let times = self.struck.iter().map(|one| one.recovered_in);
        times.map(|time| time.as_secs_f64()).collect()
    }

    /// For the summary of the whole crash suite.
    fn summary(&self) -> Row {
        let violations = self.violations();
        Row {
            scenario: self.name.to_owned(),
            seed: Some(self.seed),
            faults: self.struck.len(),
            orders: self.buyers,
            units: Some(Units {
                received: self.units,
                accounted: self.units + self.oversold - self.undersold,
            }),
            violations,
            recovered: self.recovered(),
            failure: (violations > 0).then(|| self.told()),
            ..Row::default()
        }
    }

    fn row(&self) -> Vec<String> {
        let recovered = |percent| {
            percentile(&self.recovered(), percent)
                .map_or("-".to_owned(), |seconds| format!("{seconds:.2}"))
        };
        vec![
            self.name.to_owned(),
            self.seed.to_string(),
            self.struck.len().to_string(),
            self.buyers.to_string(),
            format!("{} of {}", self.sold, self.units),
            self.refused.to_string(),
            self.retries.to_string(),
            self.bypassed.to_string(),
            self.fenced.to_string(),
            self.missing.len().to_string(),
            self.doubled.len().to_string(),
            self.violations().to_string(),
            recovered(50),
            recovered(99),
            format!("{:.1}", self.sold_in.as_secs_f64()),
        ]
    }

    /// The violations, some of each kind.
    fn told(&self) -> String {
        let mut text = format!(
            "seed {}: {} oversold, {} undersold",
            self.seed, self.oversold, self.undersold
        );
        for (kind, found) in [
            ("acknowledged and missing", &self.missing),
            ("doubled", &self.doubled),
            ("otherwise wrong", &self.other),
        ] {
            for one in found.iter().take(TOLD) {
                text += &format!("\n{kind}: {one}");
            }
        }
        text
    }
}

/// Shows the table; an error when anything was violated.
pub(crate) fn conclude(outcomes: &[Outcome]) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let heads = [
        "sale",
        "seed",
        "faults",
        "buyers",
        "sold",
        "refused",
        "retries",
        "bypassed",
        "fenced",
        "missing",
        "doubled",
        "violations",
        "p50 s",
        "p99 s",
        "took s",
    ];
    table.set_header(heads);
    for outcome in outcomes {
        table.add_row(outcome.row());
        append(&outcome.summary())?;
    }
    for column in 1..heads.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    say(format!(
        "{table}\nmissing: acknowledged and not there. p50, p99: from a fault until an order that came after it was served."
    ));
    let bad: Vec<String> = outcomes
        .iter()
        .filter(|outcome| outcome.violations() > 0)
        .map(|outcome| {
            format!(
                "{}, {}\nagain: OMS_CRASH_SEED={}",
                outcome.name,
                outcome.told(),
                outcome.seed
            )
        })
        .collect();
    anyhow::ensure!(bad.is_empty(), "{}", bad.join("\n"));
    Ok(())
}
