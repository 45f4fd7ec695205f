//! Measures that have a floor. Each round measures ours and every floor in turn.

use std::time::Duration;

use super::Bench;
use super::callers::{Callers, Pick, Until};
use super::catalogue::HOT;
use super::floors::Floor;
use crate::bench::figures::{Figures, Target, ratio};
use crate::bench::pgbench::Length;
use crate::bench::report::{Comparison, Outcome};

/// Both sides run this long before the first round and nothing is counted: connections, caches and plans get warm.
const WARM_UP_SECONDS: u32 = 1;

/// Everybody wants one SKU.
pub(super) async fn hot(bench: &mut Bench<'_>) -> anyhow::Result<Outcome> {
    let callers = bench.plan.callers;
    let pick = Pick::One(HOT.to_owned());
    let measured = rounds(
        bench,
        "hot",
        callers,
        &pick,
        &[Floor::classic(), Floor::single_statement()],
    )
    .await?;
    let says = format!("one hot SKU, {callers} callers");
    Ok(measured.outcome(
        "hot",
        says,
        throughput,
        "x throughput",
        [Some(Target::AtLeast(20.0)), None],
    ))
}

/// Everybody wants another SKU.
pub(super) async fn spread(bench: &mut Bench<'_>) -> anyhow::Result<Outcome> {
    let (callers, skus) = (bench.plan.callers, bench.plan.skus);
    let floors = [Floor::single_statement_spread(skus)];
    let measured = rounds(bench, "spread", callers, &Pick::Spread(skus), &floors).await?;
    let says = format!("{skus} SKUs, {callers} callers");
    Ok(measured.outcome(
        "spread",
        says,
        throughput,
        "x throughput",
        [Some(Target::AtLeast(1.5))],
    ))
}

/// One caller, and nobody else.
pub(super) async fn idle(bench: &mut Bench<'_>) -> anyhow::Result<Outcome> {
    let floors = [Floor::classic(), Floor::single_statement()];
    let measured = rounds(bench, "idle", 1, &Pick::One(HOT.to_owned()), &floors).await?;
    let says = "one caller alone".to_owned();
    Ok(measured.outcome(
        "idle",
        says,
        |figures| figures.p50_ms,
        "x p50",
        [Some(Target::AtMost(2.0)), None],
    ))
}

fn throughput(figures: &Figures) -> f64 {
    figures.per_second
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
    callers: u32,
    pick: &Pick,
    floors: &[Floor],
) -> anyhow::Result<Measured> {
    let steps = u64::from(bench.plan.rounds + 1) * (1 + floors.len() as u64);
    let bar = bench.bars.add(name, steps);
    let mut measured = Measured {
        ours: Vec::new(),
        floors: floors
            .iter()
            .map(|floor| (floor.name, Vec::new()))
            .collect(),
        events_behind: 0,
        repeated: 0,
    };
    let mut shop = bench.rig.callers(callers).await?;
    for round in 0..=bench.plan.rounds {
        let is_warm_up = round == 0;
        let seconds = if is_warm_up {
            WARM_UP_SECONDS
        } else {
            bench.plan.seconds
        };
        bar.set_message("ours");
        let ours = ours(bench, &mut shop, pick, seconds, &mut measured).await?;
        bar.inc(1);
        if !is_warm_up {
            measured.ours.push(ours);
        }
        for (floor, (_, rounds)) in floors.iter().zip(&mut measured.floors) {
            bar.set_message(floor.name);
            let theirs = bench
                .rig
                .floor
                .run(floor.script(), callers, Length::Seconds(seconds))
                .await?;
            bar.inc(1);
            if !is_warm_up {
                rounds.push(theirs);
            }
        }
    }
    bar.finish_with_message("");
    Ok(measured)
}

async fn ours(
    bench: &mut Bench<'_>,
    shop: &mut Callers,
    pick: &Pick,
    seconds: u32,
    measured: &mut Measured,
) -> anyhow::Result<Figures> {
    let time = Duration::from_secs(u64::from(seconds));
    let tally = shop.buy(pick, Until::Time(time)).await?;
    anyhow::ensure!(
        tally.refused == 0,
        "{} calls were refused though there is plenty",
        tally.refused
    );
    bench.rig.acknowledged += tally.sold;
    measured.repeated += tally.repeated;
    measured.events_behind = measured.events_behind.max(bench.rig.settle().await?);
    Ok(tally.figures())
}

impl Measured {
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
            ours: Figures::median(&self.ours),
            rounds: self.ours,
            events_behind: self.events_behind,
            repeated: self.repeated,
        }
    }
}
