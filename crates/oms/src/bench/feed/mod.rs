//! `oms bench feed`: how fast committed events get into the feed, and how soon they are at a subscriber.
//!
//! | module | what it is |
//! |---|---|
//! | [`rig`] | the database of an order service and its copy |
//! | [`relay`] | the relay beside a hand-written transaction that moves the same rows |
//! | [`lag`] | from the answer of a call to its event at a subscriber |

mod lag;
mod relay;
mod rig;
#[cfg(test)]
mod smoke;

use std::sync::Arc;

use oms_engines::Engines;

use super::bars::Bars;
use super::facts;
use super::report::{Outcome, Report};
use crate::cli::FeedBenchArgs;
use crate::verify::{self, Database};
use rig::Rig;

/// How much is measured.
#[derive(Debug, Clone)]
struct Plan {
    rounds: u32,
    /// Of each round of `lag`.
    seconds: u32,
    /// Events of each round of `relay`; whole batches.
    events: u32,
    /// Callers at the same time in `lag`.
    callers: u32,
}

/// Runs the bench; false when the feed is wrong afterwards.
pub(crate) async fn command(args: &FeedBenchArgs) -> anyhow::Result<bool> {
    let plan = Plan {
        rounds: args.rounds,
        seconds: args.seconds,
        events: args.events.next_multiple_of(relay::BATCH),
        callers: args.callers,
    };
    let report = super::on_engines(&args.dir, args.json, |engines| async move {
        run(&plan, engines, "oms_bench", args.json).await
    })
    .await?;
    report.print(args.json)?;
    Ok(report.is_correct())
}

/// Runs a plan on these engines. `name` begins the names of what it makes there.
async fn run(
    plan: &Plan,
    engines: Arc<Engines>,
    name: &str,
    silent: bool,
) -> anyhow::Result<Report> {
    let facts = facts::collect(&engines.postgres_url(), &engines.redis_url()).await?;
    let bars = Bars::new(silent);
    let mut rig = Rig::start(engines, name).await?;
    let mut measures: Vec<Outcome> = Vec::new();
    // First, as auditor and webhooks would work through what the relay moves, beside the callers.
    measures.push(lag::measure(plan, &mut rig, &bars).await?);
    let served = verify::check_alone(&rig.url, Database::Order).await?;
    measures.push(relay::measure(plan, &mut rig, &bars).await?);
    // Without a service, so that nobody chains and pushes these: only the feed has to be right.
    let mut moved = verify::check_alone(&rig.url, Database::Order).await?;
    moved
        .invariants
        .retain(|one| one.name.starts_with("events."));
    let mut violations = super::violations(&served);
    violations.extend(super::violations(&moved));
    rig.stop().await?;
    Ok(Report {
        bench: "feed",
        facts,
        rounds: plan.rounds,
        seconds: plan.seconds,
        measures,
        invariants: served.invariants.len(),
        violations,
    })
}
