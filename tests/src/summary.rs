//! The summary of the crash suite: every scenario appends a line of JSON to the file that `OMS_CRASH_SUMMARY` names, and in the end
//! people are shown a table (`oms-crash-summary`).

use std::fs::OpenOptions;
use std::future::Future;
use std::io::Write;

use anyhow::Context;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::{Deserialize, Serialize};

use crate::books::{Books, Money, Units};
use crate::suite::Actor;

/// Names the file.
pub const FILE: &str = "OMS_CRASH_SUMMARY";

/// What came of a scenario.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Row {
    /// Name for people: `R7 Postgres, orders`.
    pub scenario: String,
    /// Runs it again.
    pub seed: Option<u64>,
    /// Faults and kills that it survived.
    pub faults: usize,
    /// Orders, or buyers, that were compared with what they were told.
    pub orders: usize,
    /// Where there are units.
    pub units: Option<Units>,
    /// Where there is money.
    pub money: Money,
    /// Of invariants.
    pub violations: usize,
    /// Seconds from each fault until an order that came after it was served.
    pub recovered: Vec<f64>,
    /// Seconds from the last fault until every order was final or validly waiting.
    pub rest: Vec<f64>,
    /// What kept it from passing.
    pub failure: Option<String>,
}

impl Row {
    /// A scenario over all services that is over: the verifier finds nothing, and units and money are conserved.
    ///
    /// # Errors
    /// When they are not.
    pub async fn proven(actor: &Actor, faults: usize) -> anyhow::Result<Self> {
        actor.verify().await?;
        let books = Books::read(&actor.postgres_url).await?;
        books.prove()?;
        Ok(Self {
            faults,
            orders: books.orders,
            units: Some(books.units),
            money: books.money,
            ..Self::default()
        })
    }

    fn passed(&self) -> bool {
        self.failure.is_none() && self.violations == 0
    }

    /// Together with another run of the same scenario.
    fn add(&mut self, other: Self) {
        self.faults += other.faults;
        self.orders += other.orders;
        self.violations += other.violations;
        self.recovered.extend(other.recovered);
        self.rest.extend(other.rest);
        self.units = match (self.units, other.units) {
            (Some(one), Some(more)) => Some(Units {
                received: one.received + more.received,
                accounted: one.accounted + more.accounted,
            }),
            (one, more) => one.or(more),
        };
        for (currency, kept) in other.money {
            let sum = self.money.entry(currency).or_default();
            sum.ours += kept.ours;
            sum.theirs += kept.theirs;
        }
        if !self.passed() || other.failure.is_none() {
            return;
        }
        // The seed of the one that failed is the one that people want.
        (self.seed, self.failure) = (other.seed, other.failure);
    }

    fn cells(&self, runs: usize) -> Vec<String> {
        let units = self.units.map_or("-".to_owned(), |units| {
            format!("{} of {}", units.accounted, units.received)
        });
        let money = self.money.iter().map(|(currency, kept)| {
            let sign = if kept.ours == kept.theirs { "=" } else { "<>" };
            format!("{} {sign} {} {currency}", kept.ours, kept.theirs)
        });
        let money: Vec<String> = money.collect();
        vec![
            self.scenario.clone(),
            runs.to_string(),
            self.faults.to_string(),
            self.orders.to_string(),
            units,
            if money.is_empty() {
                "-".to_owned()
            } else {
                money.join("\n")
            },
            self.violations.to_string(),
            seconds(&self.recovered, 50),
            seconds(&self.recovered, 99),
            seconds(&self.rest, 100),
            match (self.passed(), self.seed) {
                (true, _) => "passed".to_owned(),
                (false, None) => "FAILED".to_owned(),
                (false, Some(seed)) => format!("FAILED, seed {seed}"),
            },
        ]
    }
}

/// Runs a scenario and notes what came of it, where the file is wanted.
///
/// # Errors
/// What kept the scenario from passing.
pub async fn note(
    scenario: &str,
    seed: Option<u64>,
    run: impl Future<Output = anyhow::Result<Row>>,
) -> anyhow::Result<()> {
    let outcome = run.await;
    let row = match &outcome {
        Ok(row) => row.clone(),
        Err(error) => Row {
            failure: Some(format!("{error:#}")),
            ..Row::default()
        },
    };
    append(&Row {
        scenario: scenario.to_owned(),
        seed,
        ..row
    })?;
    outcome.map(|_| ()).with_context(|| match seed {
        Some(seed) => format!("{scenario}, again: OMS_CRASH_SEED={seed}"),
        None => scenario.to_owned(),
    })
}

/// Adds a line to the file, where it is wanted.
///
/// # Errors
/// When it cannot be written.
pub fn append(row: &Row) -> anyhow::Result<()> {
    let Some(path) = std::env::var_os(FILE) else {
        return Ok(());
    };
    let line = serde_json::to_string(row)? + "\n";
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    Ok(file.write_all(line.as_bytes())?)
}

/// The table of these lines, one row per scenario, and whether all passed.
///
/// # Errors
/// When a line cannot be read.
pub fn table(lines: &str) -> anyhow::Result<(Table, bool)> {
    let mut scenarios: Vec<(Row, usize)> = Vec::new();
    for line in lines.lines() {
        let row: Row = serde_json::from_str(line).context("a line that is no row")?;
        let known = scenarios
            .iter_mut()
            .find(|(one, _)| one.scenario == row.scenario);
        match known {
            Some((one, runs)) => {
                one.add(row);
                *runs += 1;
            }
            None => scenarios.push((row, 1)),
        }
    }
    let heads = [
        "scenario",
        "runs",
        "faults",
        "orders",
        "units",
        "money kept",
        "violations",
        "p50 s",
        "p99 s",
        "rest s",
        "",
    ];
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(heads);
    for (row, runs) in &scenarios {
        table.add_row(row.cells(*runs));
    }
    for column in 1..heads.len() - 1 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Ok((table, scenarios.iter().all(|(row, _)| row.passed())))
}

/// What takes longer than so many in a hundred.
pub fn percentile<T: Copy + PartialOrd>(values: &[T], percent: usize) -> Option<T> {
    let mut values = values.to_vec();
    values.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    let last = values.len().checked_sub(1)?;
    values
        .get((values.len() * percent / 100).min(last))
        .copied()
}

fn seconds(values: &[f64], percent: usize) -> String {
    percentile(values, percent).map_or("-".to_owned(), |seconds| format!("{seconds:.2}"))
}

#[cfg(test)]
mod tests {
    use super::{Row, table};
    use crate::books::{Kept, Units};

    fn line(failure: Option<&str>) -> anyhow::Result<String> {
        let row = Row {
            scenario: "R1".to_owned(),
            seed: Some(7),
            faults: 2,
            orders: 10,
            units: Some(Units {
                received: 5,
                accounted: 5,
            }),
            money: [("USD".to_owned(), Kept { ours: 9, theirs: 9 })].into(),
            recovered: vec![0.5, 1.5],
            failure: failure.map(str::to_owned),
            ..Row::default()
        };
        Ok(serde_json::to_string(&row)? + "\n")
    }

    #[test]
    fn runs_of_one_scenario_are_one_row() -> anyhow::Result<()> {
        let (table, passed) = table(&(line(None)? + &line(None)?))?;
        let text = table.to_string();
        for cell in [
            "R1",
            "2",
            "4",
            "20",
            "10 of 10",
            "18 = 18 USD",
            "1.50",
            "passed",
        ] {
            anyhow::ensure!(text.contains(cell), "no {cell} in\n{text}");
        }
        anyhow::ensure!(passed);
        Ok(())
    }

    #[test]
    fn one_run_that_failed_fails_all() -> anyhow::Result<()> {
        let (table, passed) = table(&(line(None)? + &line(Some("lost"))? + &line(None)?))?;
        anyhow::ensure!(!passed && table.to_string().contains("FAILED, seed 7"));
        Ok(())
    }
}
