//! Measures that have a floor. Each round measures ours and every floor in turn.

use std::time::Duration;

use indicatif::ProgressBar;

use super::Bench;
use super::callers::{Callers, Pick, Until};
use super::catalogue::HOT;
use super::floors::Floor;
use crate::bench::figures::{Figures, Target, ratio};
use crate::bench::pgbench::Length;
use crate::bench::report::{Comparison, Outcome};

/// Everybody wants one SKU.
pub(super) async fn hot(bench: &mut Bench<'_>) -> anyhow::Result<Outcome> {
    let callers = bench.plan.callers;
    let floors = &[Floor::classic(), Floor::single_statement()];
    let load = Load {
        callers,
        pick: Pick::One(HOT.to_owned()),
        floors,
    };
    let measured = rounds(bench, "hot", load).await?;
    let says = format!("one hot SKU, {callers} callers");
    let targets = [Some(Target::AtLeast(20.0)), None];
    Ok(measured.outcome("hot", says, throughput, "x throughput", targets))
}

/// Everybody wants another SKU.
pub(super) async fn spread(bench: &mut Bench<'_>) -> anyhow::Result<Outcome> {
    let (callers, skus) = (bench.plan.callers, bench.plan.skus);
    let floors = &[Floor::single_statement_spread(skus)];
    let load = Load {
        callers,
        pick: Pick::Spread(skus),
        floors,
    };
    let measured = rounds(bench, "spread", load).await?;
    let says = format!("{skus} SKUs, {callers} callers");
    let targets = [Some(Target::AtLeast(1.5))];
    Ok(measured.outcome("spread", says, throughput, "x throughput", targets))
}

/// One caller, and nobody else.
pub(super) async fn idle(bench: &mut Bench<'_>) -> anyhow::Result<Outcome> {
    let floors = &[Floor::classic(), Floor::single_statement()];
    let load = Load {
        callers: 1,
        pick: Pick::One(HOT.to_owned()),
        floors,
    };
    let measured = rounds(bench, "idle", load).await?;
    let targets = [Some(Target::AtMost(2.0)), None];
    Ok(measured.outcome("idle", "one caller alone".to_owned(), p50, "x p50", targets))
}

fn throughput(figures: &Figures) -> f64 {
    figures.per_second
}

fn p50(figures: &Figures) -> f64 {
    figures.p50_ms
}

/// What is compared: calls of ours, and transactions of as many clients.
struct Load<'a> {
    callers: u32,
    pick: Pick,
    floors: &'a [Floor],
}

/// What the rounds of ours and of every floor came to.
struct Measured {
    ours: Vec<Figures>,
    floors: Vec<(&'static str, Vec<Figures>)>,
    events_behind: i64,
    repeated: u64,
}

async fn rounds(
    bench: &mut Bench<'_>,
    name: &'static str,
    load: Load<'_>,
) -> anyhow::Result<Measured> {
    let (count, seconds, warm_up) = (bench.plan.rounds, bench.plan.seconds, bench.plan.warm_up);
    let steps = (u64::from(count) + u64::from(warm_up > 0)) * (1 + load.floors.len() as u64);
    let bar = bench.bars.add(name, steps);
    let mut shop = bench.rig.callers(load.callers).await?;
    if warm_up > 0 {
        let mut forgotten = Measured::of(load.floors);
        round(bench, &mut shop, &load, warm_up, &mut forgotten, &bar).await?;
    }
    let mut measured = Measured::of(load.floors);
    for _ in 0..count {
        round(bench, &mut shop, &load, seconds, &mut measured, &bar).await?;
    }
    bar.finish_with_message("");
    Ok(measured)
}

async fn round(
    bench: &mut Bench<'_>,
    shop: &mut Callers,
    load: &Load<'_>,
    seconds: u32,
    measured: &mut Measured,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    bar.set_message("through gRPC");
    let time = Duration::from_secs(u64::from(seconds));
    let tally = shop.buy(&load.pick, Until::Time(time)).await?;
    bench.rig.acknowledged += tally.sold;
    anyhow::ensure!(
        tally.refused == 0,
        "{} calls were refused though there is plenty",
        tally.refused
    );
    let behind = bench.rig.settle().await?;
    measured.ours.push(tally.figures());
    measured.repeated += tally.repeated;
    measured.events_behind = measured.events_behind.max(behind);
    bar.inc(1);
    for (floor, (_, rounds)) in load.floors.iter().zip(&mut measured.floors) {
        bar.set_message(floor.name);
        let length = Length::Seconds(seconds);
        rounds.push(
            bench
                .rig
                .floor
                .run(floor.script(), load.callers, length)
                .await?,
        );
        bar.inc(1);
    }
    Ok(())
}

impl Measured {
    fn of(floors: &[Floor]) -> Self {
        Self {
            ours: Vec::new(),
            floors: floors
                .iter()
                .map(|floor| (floor.name, Vec::new()))
                .collect(),
            events_behind: 0,
            repeated: 0,
        }
    }

    /// One target per floor.
    fn outcome<const N: usize>(
        self,
        name: &'static str,
        says: String,
        figure: fn(&Figures) -> f64,
        unit: &'static str,
        targets: [Option<Target>; N],
    ) -> Outcome {
        let against = self
            .floors
            .into_iter()
            .zip(targets)
            .map(|((floor, rounds), target)| {
                let value = ratio(&self.ours, &rounds, figure);
                Comparison::of(floor, value, unit, target).beside(rounds)
            });
        Outcome {
            name,
            says,
            against: against.collect(),
            by: "through gRPC",
            ours: Figures::median(&self.ours),
            rounds: self.ours,
            events_behind: self.events_behind,
            repeated: self.repeated,
        }
    }
}
