//! `oms bench abuse`: whether clients that waste the server's time are noticed by the others. The same callers call at the
//! same pace in a quiet window and in one beside the attack, in turn; the ratio of their p99 counts, and the memory that the
//! server takes meanwhile. A call of theirs that fails is a violation.
//!
//! | module | what it is |
//! |---|---|
//! | [`server`] | an order service with real checks of tokens, in a process of its own |
//! | [`callers`] | who behaves well |
//! | [`attacks`] | who does not, each at a rate of its own, so that limits are tested and not the scheduler |
//! | [`frames`] | HTTP/2 by hand |
//! | [`memory`] | what a process holds in memory |

mod attacks;
mod callers;
mod frames;
mod memory;
pub(crate) mod server;
#[cfg(test)]
mod smoke;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oms_engines::Engines;

use super::bars::Bars;
use super::facts;
use super::figures::{Figures, Target, ratio};
use super::report::{Comparison, Outcome, Report};
use crate::cli::AbuseBenchArgs;
use crate::verify::{self, Database};
use attacks::Attack;
use callers::Callers;
use memory::Resident;
use server::Server;

/// An attack has its full force after this.
const RAMP: Duration = Duration::from_secs(1);
/// More memory than this, in MiB, is not bounded any more.
const MEMORY_MIB_MAX: f64 = 64.0;

/// How much is measured.
#[derive(Debug, Clone)]
struct Plan {
    rounds: u32,
    /// Of each window.
    seconds: u32,
    /// Callers that behave well.
    callers: u32,
    /// The share of the attackers that come, in percent.
    force: u32,
}

/// Runs the bench; false when a caller that behaved well was refused, or with `--strict` when a target is missed.
pub(crate) async fn command(args: &AbuseBenchArgs) -> anyhow::Result<bool> {
    let plan = Plan {
        rounds: args.rounds,
        seconds: args.seconds,
        callers: args.callers,
        force: 100,
    };
    let program = std::env::current_exe()?;
    let report = super::on_engines(&args.dir, args.json, |engines| async move {
        run(&plan, engines, "oms_bench", Some(&program), args.json).await
    })
    .await?;
    report.print(args.json)?;
    Ok(report.is_correct() && (!args.strict || report.is_fast()))
}

/// Runs a plan on these engines; the server in a process of this program, or in this one.
async fn run(
    plan: &Plan,
    engines: Arc<Engines>,
    name: &str,
    program: Option<&Path>,
    silent: bool,
) -> anyhow::Result<Report> {
    let facts = facts::collect(&engines.postgres_url(), &engines.redis_url()).await?;
    let bars = Bars::new(silent);
    let server = Server::start(engines, name, program).await?;
    let mut callers = Callers::connect(&server, plan.callers).await?;
    let mut failures = Vec::new();
    let mut measures = Vec::new();
    // Not counted: connections, statements and caches are made.
    callers.call(Duration::from_secs(1), &mut failures).await?;
    for attack in Attack::ALL {
        let bar = bars.add(attack.name(), u64::from(plan.rounds));
        let mut measured = Measured::default();
        for _ in 0..plan.rounds {
            round(plan, attack, &server, &mut callers, &mut measured).await?;
            bar.inc(1);
        }
        bar.finish_with_message("");
        failures.append(&mut measured.failures);
        measures.push(measured.outcome(attack));
    }
    let verdict = verify::check_alone(server.database_url(), Database::Order).await?;
    let mut violations = super::violations(&verdict);
    violations.extend(failures);
    server.stop().await?;
    Ok(Report {
        bench: "abuse",
        facts,
        rounds: plan.rounds,
        seconds: plan.seconds,
        measures,
        invariants: verdict.invariants.len(),
        violations,
    })
}

/// What the rounds of one attack came to.
#[derive(Default)]
struct Measured {
    quiet: Vec<Figures>,
    beside: Vec<Figures>,
    /// MiB before the first attack, and the most during any.
    memory: Option<(f64, f64)>,
    sent: u64,
    refused: u64,
    failures: Vec<String>,
}

async fn round(
    plan: &Plan,
    attack: Attack,
    server: &Server,
    callers: &mut Callers,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let time = Duration::from_secs(u64::from(plan.seconds));
    let quiet = callers.call(time, &mut measured.failures).await?;
    measured.quiet.push(quiet);
    let resident = Resident::watch(server.pid());
    let attackers = attack.begin(server, plan.force);
    tokio::time::sleep(RAMP).await;
    let beside = callers.call(time, &mut measured.failures).await?;
    measured.beside.push(beside);
    let tally = attackers.end().await;
    measured.sent += tally.sent;
    measured.refused += tally.refused;
    if let Some((before, most)) = resident.end().await {
        let (first, highest) = measured.memory.unwrap_or((before, most));
        measured.memory = Some((first, highest.max(most)));
    }
    Ok(())
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "counts for people")]
    fn outcome(self, attack: Attack) -> Outcome {
        let p99 = ratio(&self.beside, &self.quiet, |figures| figures.p99_ms);
        let at_most = |bound| Some(Target::AtMost(bound));
        let mut against = vec![
            Comparison::of("the same callers, quiet", p99, "x p99", at_most(2.0))
                .beside(self.quiet),
        ];
        if let Some((before, most)) = self.memory {
            let more = (most - before).max(0.0);
            against.push(Comparison::of("memory before", before, "MiB", None));
            let bound = at_most(MEMORY_MIB_MAX);
            against.push(Comparison::of("memory at most", more, "MiB more", bound));
        }
        let (sent, refused) = (self.sent as f64, self.refused as f64);
        against.push(Comparison::of("attackers", sent, attack.unit(), None));
        against.push(Comparison::of("of them", refused, attack.refusal(), None));
        Outcome {
            name: attack.name(),
            says: attack.says().to_owned(),
            by: "through gRPC",
            ours: Figures::median(&self.beside),
            rounds: self.beside,
            events_behind: 0,
            repeated: 0,
            against,
        }
    }
}
