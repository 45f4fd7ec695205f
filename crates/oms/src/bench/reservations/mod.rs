//! `oms bench reservations`: stock reservations through gRPC with everything on it, beside hand-written transactions that
//! write the same rows.
//!
//! | module | what it is |
//! |---|---|
//! | [`rig`] | engines, the service's database and its copy, replicas of the service |
//! | [`catalogue`] | what is bought |
//! | [`callers`], [`ids`] | who buys |
//! | [`floors`] | the hand-written transactions |
//! | [`pairs`] | measures that have a floor: hot, spread, idle |
//! | [`sales`] | measures of scarce stock: buyers, flash |

mod callers;
mod catalogue;
mod floors;
mod ids;
mod pairs;
mod rig;
mod sales;
#[cfg(test)]
mod smoke;

use std::sync::Arc;

use oms_engines::Engines;

use super::bars::Bars;
use super::facts::{self, Facts};
use super::report::{Outcome, Report};
use super::store;
use crate::cli::ReservationsArgs;
use crate::verify::{self, Database};
use rig::Rig;

/// A measure, by the name it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Measure {
    /// Everybody wants one SKU.
    Hot,
    /// Everybody wants another SKU.
    Spread,
    /// One caller, and nobody else.
    Idle,
    /// More buyers than units.
    Buyers,
    /// A flash sale over several replicas.
    Flash,
}

impl Measure {
    const ALL: [Self; 5] = [
        Self::Hot,
        Self::Spread,
        Self::Idle,
        Self::Buyers,
        Self::Flash,
    ];
}

/// A sale of scarce stock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sale {
    /// Units there are.
    units: u64,
    /// Callers who want them.
    callers: u32,
}

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    rounds: u32,
    seconds: u32,
    /// Seconds before the first round of which nothing is counted; connections, caches and plans get warm.
    warm_up: u32,
    callers: u32,
    skus: u32,
    replicas: u32,
    few: Sale,
    flash: Sale,
    measures: Vec<Measure>,
}

impl Plan {
    fn of(args: &ReservationsArgs) -> Self {
        let is_wanted = |measure: &Measure| args.only.is_empty() || args.only.contains(measure);
        Self {
            rounds: args.rounds,
            seconds: args.seconds,
            warm_up: 1,
            callers: args.callers,
            skus: args.skus,
            replicas: args.replicas,
            few: Sale {
                units: 50,
                callers: 200,
            },
            flash: Sale {
                units: 10_000,
                callers: 1_200,
            },
            measures: Measure::ALL.into_iter().filter(is_wanted).collect(),
        }
    }
}

/// Runs the bench; false when the books are wrong afterwards, with `--strict` also when a target is missed.
pub(crate) async fn command(args: &ReservationsArgs) -> anyhow::Result<bool> {
    let plan = Plan::of(args);
    let report = super::on_engines(&args.dir, args.json, |engines| async move {
        run(&plan, engines, "oms_bench", args.json).await
    })
    .await?;
    report.print(args.json)?;
    Ok(report.is_correct() && (report.is_fast() || !args.strict))
}

/// Runs a plan on these engines. `name` begins the names of what it makes there.
pub(crate) async fn run(
    plan: &Plan,
    engines: Arc<Engines>,
    name: &str,
    silent: bool,
) -> anyhow::Result<Report> {
    let facts = facts::collect(&engines.postgres_url(), &engines.redis_url()).await?;
    let bars = Bars::new(silent);
    let filling = bars.add("set up", 1);
    let rig = Rig::start(engines, name, plan.skus, plan.callers).await?;
    filling.finish();
    let mut bench = Bench {
        plan,
        rig,
        bars,
        violations: Vec::new(),
    };
    let mut measures = Vec::new();
    for measure in &plan.measures {
        measures.push(bench.measure(*measure).await?);
    }
    bench.finish(facts, measures).await
}

/// What measures work with.
struct Bench<'a> {
    plan: &'a Plan,
    rig: Rig,
    bars: Bars,
    /// What was found wrong.
    violations: Vec<String>,
}

impl Bench<'_> {
    async fn measure(&mut self, measure: Measure) -> anyhow::Result<Outcome> {
        match measure {
            Measure::Hot => pairs::hot(self).await,
            Measure::Spread => pairs::spread(self).await,
            Measure::Idle => pairs::idle(self).await,
            Measure::Buyers => sales::buyers(self).await,
            Measure::Flash => sales::flash(self).await,
        }
    }

    /// Compares what callers were told with what is stored, and checks the books.
    async fn finish(mut self, facts: Facts, measures: Vec<Outcome>) -> anyhow::Result<Report> {
        let stored = store::reservations(&mut self.rig.conn).await?;
        let told = self.rig.acknowledged;
        if u64::try_from(stored) != Ok(told) {
            self.violations.push(format!(
                "callers were told of {told} reservations, {stored} are stored"
            ));
        }
        let verdict = verify::check_alone(&self.rig.database_url(), Database::Inventory).await?;
        self.violations.extend(super::violations(&verdict));
        self.rig.stop().await?;
        Ok(Report {
            bench: "reservations",
            facts,
            rounds: self.plan.rounds,
            seconds: self.plan.seconds,
            measures,
            invariants: verdict.invariants.len(),
            violations: self.violations,
        })
    }
}
