//! R17: orders go to cash at 70 % of the speed that the machine has, for long, and nothing grows but the books.
//!
//! | module | what it is |
//! |---|---|
//! | [`load`] | the orders |
//! | [`sample`] | what is looked at |
//! | [`trend`] | whether it is flat |
//! | [`page`] | what came of it, for people |

pub mod load;
pub mod page;
pub mod sample;
pub mod trend;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use oms::verify;
use oms_core::{Clock, SystemClock};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior};

use crate::crash::{durable, say};
use crate::nodes::Nodes;
use crate::suite::{Actor, engines};
use load::Counts;
use sample::{Probe, Sample};
use trend::{Trend, Verdict};

/// Part of the peak at which the soak runs.
const LOAD: f64 = 0.7;
/// People who take orders to cash while the peak is looked for.
const PEOPLE: usize = 16;
/// Orders are taken to cash for so long before the peak is measured, so that everything is warm.
const WARM_UP: Duration = Duration::from_secs(10);
/// Orders that may be under way more than before.
const UNDER_WAY_ALLOWANCE: f64 = 20.0;
/// More units than any run sells.
const PLENTY: i64 = 10_000_000;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decides what is ordered and what is canceled.
    pub seed: u64,
    /// How long orders come.
    pub time: Duration,
    /// How long the peak is measured.
    pub peak_time: Duration,
    /// Pause between two looks.
    pub every: Duration,
}

/// The machine that it ran on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Cores this process may use.
    pub cores: usize,
    /// Average number of processes that wanted to run in the minute before.
    pub load_before: f64,
    /// `release` or `debug`.
    pub build: &'static str,
}

/// What came of a soak.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// When it ended, in seconds since 1970.
    pub at: i64,
    /// Of this run.
    pub seed: u64,
    /// How long orders came.
    pub minutes: f64,
    /// The machine.
    pub machine: Machine,
    /// Orders per second that the machine takes to cash.
    pub peak_per_second: f64,
    /// Orders per second that came.
    pub offered_per_second: f64,
    /// Orders that were placed.
    pub placed: u64,
    /// Orders that came to their end.
    pub ended: u64,
    /// Of invariants.
    pub violations: Vec<String>,
    /// What was looked at.
    pub trends: Vec<Trend>,
    /// Every look; not in the line of the results file.
    #[serde(skip)]
    pub samples: Vec<(f64, Sample)>,
}

impl Report {
    /// Whether nothing grows and the books are right.
    pub fn passed(&self) -> bool {
        let grows = |trend: &Trend| trend.verdict == Verdict::Grows;
        self.violations.is_empty() && !self.trends.iter().any(grows)
    }

    /// A series by its name.
    pub fn series(&self, name: &str) -> Vec<f64> {
        let of = |(_, sample): &(f64, Sample)| sample.get(name).copied();
        self.samples.iter().filter_map(of).collect()
    }
}

/// Runs a soak on engines and processes of its own.
///
/// # Errors
/// When something does not start, or an order does not come to its end.
pub async fn run(program: &str, plan: Plan) -> anyhow::Result<Report> {
    let machine = machine();
    let mut nodes = Nodes::on(program, durable(engines()?), None, &[]).await?;
    let actor = nodes.actor()?;
    actor.set_up(&load::SKUS).await?;
    for sku in load::SKUS {
        actor.receive(load::LOCATION, sku, PLENTY).await?;
    }
    load::peak(&actor, plan.seed, PEOPLE, WARM_UP).await?;
    let peak = load::peak(&actor, plan.seed + 1, PEOPLE, plan.peak_time).await?;
    anyhow::ensure!(
        peak > 0.0,
        "no order came to its end in {:?}",
        plan.peak_time
    );
    let offered = peak * LOAD;
    say(format!(
        "peak {peak:.2} orders/s; {offered:.2} orders/s from now on"
    ));

    let counts = Arc::new(Counts::default());
    let coming = load::steady(
        actor.clone(),
        plan.seed,
        offered,
        plan.time,
        Arc::clone(&counts),
    );
    let coming = tokio::spawn(coming);
    let samples = look(&nodes, plan, &counts, &coming).await?;
    coming.await??;
    let violations = violations(&actor).await?;
    nodes.end()?;
    Ok(Report {
        at: SystemClock.now().unix_timestamp(),
        seed: plan.seed,
        minutes: plan.time.as_secs_f64() / 60.0,
        machine,
        peak_per_second: peak,
        offered_per_second: offered,
        placed: counts.placed.load(Ordering::Relaxed),
        ended: counts.ended.load(Ordering::Relaxed),
        violations,
        trends: trends(&samples),
        samples,
    })
}

/// Looks at everything as long as orders come.
async fn look<T>(
    nodes: &Nodes,
    plan: Plan,
    counts: &Counts,
    coming: &tokio::task::JoinHandle<T>,
) -> anyhow::Result<Vec<(f64, Sample)>> {
    let mut probe = Probe::new(nodes).await?;
    let began = Instant::now();
    let mut tick = tokio::time::interval(plan.every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut samples = Vec::new();
    while began.elapsed() < plan.time && !coming.is_finished() {
        tick.tick().await;
        let mut sample = probe.look().await?;
        let under_way = u32::try_from(counts.under_way())?;
        sample.insert("orders under way".to_owned(), f64::from(under_way));
        samples.push((began.elapsed().as_secs_f64(), sample));
    }
    Ok(samples)
}

fn trends(samples: &[(f64, Sample)]) -> Vec<Trend> {
    let mut series: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, value) in samples.iter().flat_map(|(_, sample)| sample) {
        series.entry(name).or_default().push(*value);
    }
    let judged = |(name, values): (&str, Vec<f64>)| {
        let (unit, allowance) = match name {
            "orders under way" => ("orders", Some(UNDER_WAY_ALLOWANCE)),
            name => sample::kind(name),
        };
        trend::judge(name, unit, &values, allowance)
    };
    series.into_iter().map(judged).collect()
}

/// What the verifier finds when everything has come to rest.
async fn violations(actor: &Actor) -> anyhow::Result<Vec<String>> {
    let verdict = verify::run(&actor.postgres_url, true).await;
    let verdict = verdict.context("the verifier")?;
    let bad = verdict
        .invariants
        .iter()
        .filter(|finding| finding.violations > 0);
    let told = bad.map(|finding| format!("{}: {:?}", finding.name, finding.examples));
    Ok(told.collect())
}

fn machine() -> Machine {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().and_then(|load| load.parse().ok());
    Machine {
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        load_before: load.unwrap_or_default(),
        build: if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
    }
}
