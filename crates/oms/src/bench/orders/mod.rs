//! `oms bench orders`: orders placed, and whole orders to cash, through the gRPC of all five services with everything on,
//! beside transactions that write the same rows.
//!
//! | module | what it is |
//! |---|---|
//! | [`rig`] | the five services, and a world of small orders for the bots of the demo |
//! | [`rows`] | the floor: the rows that orders left, written again by pgbench |
//! | [`store`] | what the floor reads of the databases |

mod rig;
mod rows;
#[cfg(test)]
mod smoke;
mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use oms_engines::Engines;

use super::bars::Bars;
use super::facts;
use super::figures::{Figures, Target, ratio};
use super::report::{Comparison, Outcome, Report};
use crate::cli::OrdersBenchArgs;
use crate::verify;
use rig::Rig;
use rows::Floors;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// How much is measured.
#[derive(Debug, Clone)]
struct Plan {
    rounds: u32,
    /// Of each round of `place`.
    seconds: u32,
    /// Orders of each round of `cash`.
    orders: u32,
    callers: u32,
}

/// Runs the bench; false when the books are wrong afterwards.
pub(crate) async fn command(args: &OrdersBenchArgs) -> anyhow::Result<bool> {
    let plan = Plan {
        rounds: args.rounds,
        seconds: args.seconds,
        orders: args.orders,
        callers: args.callers,
    };
    let report = super::on_engines(&args.dir, args.json, |engines| async move {
        run(&plan, engines, args.json).await
    })
    .await?;
    report.print(args.json)?;
    Ok(report.is_correct())
}

async fn run(plan: &Plan, engines: Arc<Engines>, silent: bool) -> anyhow::Result<Report> {
    let facts = facts::collect(&engines.postgres_url(), &engines.redis_url()).await?;
    let bars = Bars::new(silent);
    let bar = bars.add("orders", u64::from(plan.rounds) * 4 + 1);
    bar.set_message("set up");
    let mut rig = Rig::start(&engines, plan).await?;
    // Connections, caches and plans get warm; not counted.
    rig.take_to_cash(plan.callers).await?;
    bar.inc(1);
    let before = Floors::count(&engines).await?;
    let mut cash = Vec::new();
    for _ in 0..plan.rounds {
        bar.set_message("to cash, through gRPC");
        cash.push(rig.take_to_cash(plan.orders).await?);
        bar.inc(1);
    }
    let orders = plan.orders * plan.rounds;
    let floors = Floors::sample(&engines, &before, orders).await?;
    rig.send_home().await?;
    let mut place = Vec::new();
    for _ in 0..plan.rounds {
        bar.set_message("placed, through gRPC");
        place.push(rig.place(plan.callers, plan.seconds).await?);
        bar.inc(1);
    }
    rig.settle().await?;
    let verdict = verify::run(&engines.postgres_url(), true).await?;
    rig.stop().await?;
    let floors = floors.prepare().await?;
    let (mut place_floor, mut cash_floor) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        bar.set_message("the same rows");
        place_floor.push(floors.place(plan.callers).await?);
        bar.inc(1);
        cash_floor.push(floors.cash(plan.callers).await?);
        bar.inc(1);
    }
    bar.finish_with_message("");
    floors.stop().await?;
    let place_says = format!("{} callers, answered when PENDING", plan.callers);
    let cash_says = format!("{} orders of one line, latency to captured", plan.orders);
    Ok(Report {
        bench: "orders",
        facts,
        rounds: plan.rounds,
        seconds: plan.seconds,
        measures: vec![
            outcome("place", place_says, place, place_floor, 1.0),
            outcome("cash", cash_says, cash, cash_floor, 0.6),
        ],
        invariants: verdict.invariants.len(),
        violations: super::violations(&verdict),
    })
}

/// Waits until no saga and no task of the order service at this database has anything left to do.
pub(super) async fn settle(url: &str, patience: Duration) -> anyhow::Result<()> {
    let mut conn = super::store::connect(url).await?;
    let until = Instant::now() + patience;
    loop {
        let open = store::open_work(&mut conn).await?;
        if open == 0 {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < until, "{open} orders do not come to rest");
        tokio::time::sleep(LOOK).await;
    }
}

fn outcome(
    name: &'static str,
    says: String,
    ours: Vec<Figures>,
    floor: Vec<Figures>,
    least: f64,
) -> Outcome {
    let value = ratio(&ours, &floor, |figures| figures.per_second);
    let target = Some(Target::AtLeast(least));
    let against = Comparison::of("the same rows", value, "x throughput", target).beside(floor);
    Outcome {
        name,
        says,
        by: "through gRPC",
        ours: Figures::median(&ours),
        rounds: ours,
        events_behind: 0,
        repeated: 0,
        against: vec![against],
    }
}
