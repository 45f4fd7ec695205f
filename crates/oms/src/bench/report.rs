//! What came of a bench: one table for people, the same as JSON for machines.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use super::facts::Facts;
use super::figures::{Figures, Target};

/// The result of a bench.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Name of the bench.
    pub(crate) bench: &'static str,
    /// The machine and the engines.
    pub(crate) facts: Facts,
    /// Rounds of each measure.
    pub(crate) rounds: u32,
    /// Seconds of each measurement.
    pub(crate) seconds: u32,
    /// What was measured.
    pub(crate) measures: Vec<Outcome>,
    /// Invariants that the books were checked against afterwards.
    pub(crate) invariants: usize,
    /// What was found wrong; must be empty.
    pub(crate) violations: Vec<String>,
}

/// One measure.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// Name for `--only`.
    pub(crate) name: &'static str,
    /// What it is, for people.
    pub(crate) says: String,
    /// What `ours` is, for people.
    pub(crate) by: &'static str,
    /// Medians over rounds.
    pub(crate) ours: Figures,
    /// Each round.
    pub(crate) rounds: Vec<Figures>,
    /// Most events that were not yet in the feed when a round ended.
    pub(crate) events_behind: i64,
    /// Calls that were made again because the service was too busy.
    pub(crate) repeated: u64,
    /// What it is held against.
    pub(crate) against: Vec<Comparison>,
}

/// A figure held against a floor or a bound.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    /// What with, for people.
    pub(crate) with: &'static str,
    /// Medians of the floor; none when the bound is absolute.
    pub(crate) floor: Option<Figures>,
    /// Each round of the floor.
    pub(crate) rounds: Vec<Figures>,
    /// What is compared, for people: `x throughput`.
    pub(crate) unit: &'static str,
    /// The value.
    pub(crate) value: f64,
    /// What it should be; none when it is only told.
    pub(crate) target: Option<Target>,
    /// Whether it is.
    pub(crate) met: Option<bool>,
}

impl Comparison {
    /// A value without a floor.
    pub(crate) fn of(
        with: &'static str,
        value: f64,
        unit: &'static str,
        target: Option<Target>,
    ) -> Self {
        Self {
            with,
            floor: None,
            rounds: Vec::new(),
            unit,
            value,
            target,
            met: target.map(|target| target.is_met(value)),
        }
    }

    /// With the rounds of a floor.
    pub(crate) fn beside(mut self, rounds: Vec<Figures>) -> Self {
        self.floor = Some(Figures::median(&rounds));
        self.rounds = rounds;
        self
    }

    fn shown(&self) -> String {
        match self.target {
            Some(Target::Exactly(_)) => format!("{:.0}", self.value),
            _ => format!("{} {}", short(self.value), self.unit),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "ok",
            Some(false) => "missed",
            None => "",
        }
    }
}

impl Report {
    /// True when the books are right.
    pub(crate) fn is_correct(&self) -> bool {
        self.violations.is_empty()
    }

    /// True when every target is met.
    pub(crate) fn is_fast(&self) -> bool {
        let mut all = self.measures.iter().flat_map(|measure| &measure.against);
        all.all(|comparison| comparison.met != Some(false))
    }

    /// Prints the report.
    #[expect(clippy::print_stdout, reason = "the report is the command's result")]
    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!("{}", self.table());
        println!("{}", self.facts.sentence());
        println!(
            "medians over {} x {} s; a ratio is the median of the rounds' ratios",
            self.rounds, self.seconds
        );
        for warning in self.facts.warnings() {
            println!("warning: {warning}");
        }
        for violation in &self.violations {
            println!("VIOLATION: {violation}");
        }
        println!("{}", self.sentence());
        Ok(())
    }

    fn sentence(&self) -> String {
        let all = || self.measures.iter().flat_map(|measure| &measure.against);
        let judged = all().filter(|comparison| comparison.met.is_some()).count();
        let missed = all()
            .filter(|comparison| comparison.met == Some(false))
            .count();
        format!(
            "{} of {judged} targets met, {} violations",
            judged - missed,
            self.violations.len()
        )
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header([
            "measure",
            "",
            "per second",
            "p50 ms",
            "p99 ms",
            "",
            "target",
            "",
        ]);
        for measure in &self.measures {
            let mut row = vec![measure.says.clone(), measure.by.to_owned()];
            row.extend(measure.ours.shown());
            table.add_row(row);
            for comparison in &measure.against {
                let floor = comparison.floor.as_ref().map(Figures::shown);
                let target = comparison.target.map(|target| target.to_string());
                let mut row = vec![String::new(), comparison.with.to_owned()];
                row.extend(floor.unwrap_or_default());
                row.push(comparison.shown());
                row.push(target.unwrap_or_default());
                row.push(comparison.verdict().to_owned());
                table.add_row(row);
            }
        }
        for column in 2..=6 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }
}

impl Figures {
    fn shown(&self) -> [String; 3] {
        [
            format!("{:.0}", self.per_second),
            short(self.p50_ms),
            short(self.p99_ms),
        ]
    }
}

/// Three digits that matter, as people read numbers.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_and_a_told_value_read_differently() {
        let missed = Comparison::of("classic", 1.4, "x", Some(Target::AtLeast(1.5)));
        assert_eq!((missed.met, missed.verdict()), (Some(false), "missed"));
        let met = Comparison::of("classic", 1.5, "x", Some(Target::AtLeast(1.5)));
        assert_eq!((met.met, met.verdict()), (Some(true), "ok"));
        let told = Comparison::of("classic", 0.1, "x", None);
        assert_eq!((told.met, told.verdict()), (None, ""));
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(short(12345.6), "12346");
        assert_eq!(short(12.345), "12.3");
        assert_eq!(short(0.4567), "0.46");
    }
}
