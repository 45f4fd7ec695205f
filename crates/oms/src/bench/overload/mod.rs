//! `oms bench overload`: what is left of the speed when five times as much is asked for as can be served.
//!
//! First the peak is looked for, with twice as many callers each time, who wait for their answers. Then calls are made at
//! five times that rate, and nobody waits for an answer or comes back: people who keep coming do not slow down because
//! others wait. Each round compares both on the machine as it is just then.
//!
//! | module | what it is |
//! |---|---|
//! | [`callers`] | who calls |
//! | [`watch`] | the longest queues |
//! | [`rig`] | the five services, at rest before each measurement |

mod callers;
mod rig;
#[cfg(test)]
mod smoke;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use oms_engines::Engines;

use super::bars::Bars;
use super::facts;
use super::figures::{Figures, Target, median, ratio};
use super::report::{Comparison, Outcome, Report};
use crate::cli::OverloadArgs;
use crate::verify::{self, Database};
use callers::{Method, Tally};
use rig::{Rig, Round};

/// What must be left of the peak.
const GOODPUT_LEAST: f64 = 0.8;
/// Seconds within which a call takes at most twice as long as before again.
const RECOVERED_WITHIN: f64 = 5.0;

/// How much is measured.
#[derive(Debug, Clone)]
struct Plan {
    rounds: u32,
    /// Of each measurement.
    seconds: u32,
    /// So many times the peak is offered.
    times: u32,
    /// Numbers of callers with which the peak is looked for.
    callers: Vec<u32>,
}

/// Runs the bench; false when the books are wrong afterwards, with `--strict` also when a target is missed.
pub(crate) async fn command(args: &OverloadArgs) -> anyhow::Result<bool> {
    let plan = Plan {
        rounds: args.rounds,
        seconds: args.seconds,
        times: args.times,
        callers: vec![8, 16, 32, 64, 128, 256],
    };
    let report = super::on_engines(&args.dir, args.json, |engines| async move {
        run(&plan, engines, args.json).await
    })
    .await?;
    report.print(args.json)?;
    Ok(report.is_correct() && (report.is_fast() || !args.strict))
}

async fn run(plan: &Plan, engines: Arc<Engines>, silent: bool) -> anyhow::Result<Report> {
    let facts = facts::collect(&engines.postgres_url(), &engines.redis_url()).await?;
    let bars = Bars::new(silent);
    let mut rig = Rig::start(&engines).await?;
    let (place, mut violations) = measure(plan, &mut rig, &bars, Method::Place).await?;
    let verdict = verify::run(&engines.postgres_url(), true).await?;
    violations.extend(super::violations(&verdict));
    // Afterwards, and proven apart: these reservations belong to orders that nobody has placed.
    let (reserve, wrong) = measure(plan, &mut rig, &bars, Method::Reserve).await?;
    let inventory = engines.database_url("oms_inventory");
    let stock = verify::check_alone(&inventory, Database::Inventory).await?;
    rig.stop().await?;
    violations.extend(wrong);
    violations.extend(super::violations(&stock));
    Ok(Report {
        bench: "overload",
        facts,
        rounds: plan.rounds,
        seconds: plan.seconds,
        measures: vec![place, reserve],
        invariants: verdict.invariants.len(),
        violations,
    })
}

/// The measure, and what callers were told that the books do not say.
async fn measure(
    plan: &Plan,
    rig: &mut Rig,
    bars: &Bars,
    method: Method,
) -> anyhow::Result<(Outcome, Vec<String>)> {
    let name = method.name();
    let bar = bars.add(name, u64::from(plan.rounds) + 1);
    bar.set_message("looking for the peak");
    let callers = peak(plan, rig, method).await?;
    bar.inc(1);
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        bar.set_message(format!("{} times as much", plan.times));
        rounds.push(rig.round(plan, method, callers).await?);
        bar.inc(1);
    }
    bar.finish_with_message("");
    let wrong = rounds.iter().filter_map(|round| round.wrong.clone());
    let wrong = wrong.collect();
    Ok((outcome(name, plan, callers, &rounds), wrong))
}

/// The number of callers with which most is served: more and more, until two more steps have not served more.
async fn peak(plan: &Plan, rig: &mut Rig, method: Method) -> anyhow::Result<u32> {
    let time = Duration::from_secs(u64::from(plan.seconds));
    let (mut best, mut best_rate, mut worse) = (1, 0.0, 0);
    for callers in &plan.callers {
        let tally = rig.closed(method, *callers, time).await?;
        if tally.figures.per_second > best_rate {
            (best, best_rate, worse) = (*callers, tally.figures.per_second, 0);
            continue;
        }
        worse += 1;
        if worse == 2 {
            break;
        }
    }
    Ok(best)
}

fn outcome(name: &'static str, plan: &Plan, callers: u32, rounds: &[Round]) -> Outcome {
    let peaks: Vec<Figures> = rounds.iter().map(|round| round.peak).collect();
    let ours: Vec<Figures> = rounds.iter().map(|round| round.tally.figures).collect();
    let goodput = ratio(&ours, &peaks, |figures| figures.per_second);
    let told = |what, unit, value: fn(&Round) -> f64| {
        Comparison::of(what, median(rounds.iter().map(value)), unit, None)
    };
    let recovered = median(rounds.iter().map(|round| round.recovered));
    let at_peak = Comparison::of(
        "the peak",
        goodput,
        "x goodput",
        Some(Target::AtLeast(GOODPUT_LEAST)),
    );
    let recovery = Comparison::of(
        "latency within 2 x of before after",
        recovered,
        "s",
        Some(Target::AtMost(RECOVERED_WITHIN)),
    );
    Outcome {
        name,
        says: format!("{name}, peak with {callers} callers"),
        by: "served of too much",
        ours: Figures::median(&ours),
        rounds: ours,
        events_behind: 0,
        repeated: 0,
        against: vec![
            at_peak.beside(peaks),
            told("offered per second", "", |round| round.offered_per_second),
            told("refused, told to come back", "%", |round| {
                share(&round.tally, round.tally.refused)
            }),
            told("no answer within 2 s", "%", |round| {
                share(&round.tally, round.tally.late)
            }),
            odd(rounds),
            recovery,
            told("most calls in work", "", |round| round.most.in_flight),
            told("most commands before lanes", "", |round| round.most.lanes),
            told("memory of services and callers", "MiB more", |round| {
                round.grown_mib
            }),
        ],
    }
    .offering(plan.times)
}

impl Outcome {
    fn offering(mut self, times: u32) -> Self {
        self.says = format!("{}, {times} x offered", self.says);
        self
    }
}

/// Answers that are neither a result, nor a refusal with a time to come back, nor too late.
fn odd(rounds: &[Round]) -> Comparison {
    let odd = rounds.iter().flat_map(|round| round.tally.other.values());
    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    let odd = odd.sum::<u64>() as f64;
    Comparison::of("answered otherwise", odd, "", Some(Target::Exactly(0)))
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(tally: &Tally, part: u64) -> f64 {
    100.0 * part as f64 / tally.offered().max(1) as f64
}
