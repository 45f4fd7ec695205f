//! The relay beside a hand-written transaction that moves the same rows.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use oms_core::SystemClock;
use oms_postgres::feed::Head;
use oms_postgres::relay::{Relay, RelayConfig};
use oms_postgres::{Db, DbConfig};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Plan;
use super::rig::Rig;
use crate::bench::bars::Bars;
use crate::bench::figures::{Figures, Latencies, ratio};
use crate::bench::pgbench::{Length, Pgbench, Script};
use crate::bench::report::{Comparison, Outcome};
use crate::bench::store;

/// Events of one transaction of the relay.
pub(super) const BATCH: u32 = 1_000;

const FLOOR: (&str, &str) = (
    "relay_events.sql",
    include_str!("../../../../../bench/relay_events.sql"),
);

/// Fills the outbox, then times how long it takes to be empty.
pub(super) async fn measure(plan: &Plan, rig: &mut Rig, bars: &Bars) -> anyhow::Result<Outcome> {
    let bar = bars.add("relay", u64::from(plan.rounds) * 2);
    let config = DbConfig::new(&rig.url, "oms-bench");
    let db = Db::connect(&config, Arc::new(SystemClock)).await?;
    let floor = Pgbench::of(&rig.engines, rig.floor_url.clone())?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first round warms up and is forgotten.
    for round in 0..=plan.rounds {
        bar.set_message("the relay");
        fill(&rig.url, round, plan.events).await?;
        let moved = drain(&db, plan.events).await?;
        bar.set_message("one transaction per batch");
        fill(&rig.floor_url, round, plan.events).await?;
        let floor = run_floor(&floor, plan.events).await?;
        if round > 0 {
            ours.push(moved);
            theirs.push(floor);
            bar.inc(2);
        }
    }
    bar.finish_with_message("");
    db.close().await;
    let value = ratio(&ours, &theirs, |figures| figures.per_second);
    let against = Comparison::of("one transaction per batch", value, "x throughput", None);
    Ok(Outcome {
        name: "relay",
        says: format!("{} waiting events, latency per {BATCH}", plan.events),
        by: "the relay",
        ours: Figures::median(&ours),
        rounds: ours,
        events_behind: 0,
        repeated: 0,
        against: vec![against.beside(theirs)],
    })
}

/// Events of a round, of a thousand aggregates in turn.
async fn fill(url: &str, round: u32, events: u32) -> anyhow::Result<()> {
    let mut conn = store::connect(url).await?;
    store::fill_outbox(&mut conn, round, events).await?;
    store::tidy_up(&mut conn).await
}

/// Moves everything.
async fn drain(db: &Db, events: u32) -> anyhow::Result<Figures> {
    let config = RelayConfig {
        batch: i64::from(BATCH),
        ..RelayConfig::default()
    };
    let mut relay = Relay::new(db.clone(), config);
    let done = CancellationToken::new();
    let watched = tokio::spawn(batches(db.feed_head(), done.clone()));
    let begun = Instant::now();
    let moved = relay.drain().await?;
    let elapsed = begun.elapsed();
    done.cancel();
    ensure!(
        moved == u64::from(events),
        "{moved} of {events} events moved"
    );
    Ok(Figures {
        per_second: rate(moved, elapsed),
        ..Figures::of(&watched.await??, elapsed)
    })
}

/// A batch's latency is the time from its head to the next one.
async fn batches(
    mut heads: watch::Receiver<Head>,
    done: CancellationToken,
) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::new()?;
    let (mut last, mut pos) = (Instant::now(), heads.borrow_and_update().pos);
    loop {
        tokio::select! {
            () = done.cancelled() => return Ok(latencies),
            changed = heads.changed() => changed?,
        }
        let head = heads.borrow_and_update().pos;
        if head > pos {
            latencies.record(last.elapsed());
            (last, pos) = (Instant::now(), head);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(events: u64, elapsed: Duration) -> f64 {
    events as f64 / elapsed.as_secs_f64().max(f64::EPSILON)
}

async fn run_floor(floor: &Pgbench, events: u32) -> anyhow::Result<Figures> {
    let (name, text) = FLOOR;
    let script = Script {
        name,
        text,
        variables: &[("batch", BATCH.to_string())],
    };
    let length = Length::Transactions(events / BATCH);
    let batches = floor.run(script, 1, length).await?;
    Ok(Figures {
        per_second: batches.per_second * f64::from(BATCH),
        ..batches
    })
}
