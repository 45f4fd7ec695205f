//! Orders of every kind, by people who make each call until it is answered, while what they run on breaks: five services and a payment
//! provider, as processes. Every order ends, or waits for a reason; nothing acknowledged is lost, nothing is done twice.
//!
//! - `life`: what an order is, and the people around it
//! - `faults`: kills (R1) and what happens to Postgres (R7)
//! - `outage`: shipping is down for long (R10)
//! - `redelivery`: every event is delivered again (R3)
//!
//! `OMS_CRASH_SEED` repeats orders and faults; how processes interleave is the machine's affair. `OMS_CRASH_ROUNDS` is the long form, with
//! the services' own patience instead of a short one.

mod faults;
mod life;
mod outage;
mod redelivery;

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use oms_tests::crash::{durable, rounds, say, seed};
use oms_tests::nodes::Nodes;
use oms_tests::suite::engines;
use oms_tests::summary::{Row, note};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use faults::{Fault, strike_all};
use life::{Kind, Shop, Told};

const NODE: &str = env!("CARGO_BIN_EXE_oms-node");

/// What a process held that died is taken over soon. The long form keeps the defaults.
const IMPATIENT: [(&str, &str); 1] = [(
    "order",
    "[saga]\nlease_ms = 2000\n[payments]\ntimeout_ms = 2000\nreconcile_after_ms = 3000\nreconcile_poll_ms = 200\n",
)];

/// Orders under way at the same time, besides those of one client whose stories are short: it sees soonest that work goes on.
const CLIENTS: usize = 5;
/// By then every order is final or validly waiting, after the last fault.
const AT_REST_WITHIN: Duration = Duration::from_secs(60);

/// The five services and the provider, on engines that survive their own crashes.
async fn start() -> anyhow::Result<Nodes> {
    let overrides: &[_] = if rounds()?.is_some() { &[] } else { &IMPATIENT };
    Nodes::on(NODE, durable(engines()?), None, overrides).await
}

/// One client after the other's order, until it is over.
async fn clients(shop: &Arc<Shop>, over: &CancellationToken) -> anyhow::Result<Vec<Told>> {
    let mut clients = JoinSet::new();
    for client in 0..=CLIENTS {
        let wanted = (client == 0).then_some(Kind::Canceled);
        let (shop, over) = (Arc::clone(shop), over.clone());
        clients.spawn(async move {
            let mut told = Vec::new();
            while !over.is_cancelled() {
                told.push(shop.serve_next(wanted).await?);
            }
            anyhow::Ok(told)
        });
    }
    let mut told = Vec::new();
    while let Some(client) = clients.join_next().await {
        told.extend(client??);
    }
    Ok(told)
}

/// Orders while these faults happen; then the books.
async fn orders_under(faults: &[Fault], seed: u64) -> anyhow::Result<Row> {
    let mut nodes = start().await?;
    let shop = Arc::new(Shop::open(nodes.actor()?, seed).await?);
    let over = CancellationToken::new();
    let strike = async {
        let struck = strike_all(faults, seed, &mut nodes, &shop).await?;
        over.cancel();
        Ok(struck)
    };
    let (told, struck) = futures::try_join!(clients(&shop, &over), strike)?;
    let row = Row::proven(&shop.actor, faults.len()).await?;
    let rest = Instant::now() - struck.last;
    shop.compare(&told).await?;
    say(format!(
        "  {} orders, at rest {:.1} s after the last fault",
        told.len(),
        rest.as_secs_f64()
    ));
    ensure!(
        rest < AT_REST_WITHIN,
        "at rest only {rest:?} after the last fault"
    );
    Ok(Row {
        recovered: struck.recovered,
        rest: vec![rest.as_secs_f64()],
        ..row
    })
}

/// A scenario in its short form, or so many rounds of the long one, each with another seed.
async fn scenario(name: &str, short: &[Fault], long: &[Fault]) -> anyhow::Result<()> {
    let rounds = rounds()?;
    let faults = if rounds.is_some() { long } else { short };
    let first = seed()?;
    for seed in (first..).take(rounds.unwrap_or(1)) {
        say(format!("{name}: seed {seed}"));
        note(name, Some(seed), orders_under(faults, seed)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_ends_when_services_are_killed_at_random() -> anyhow::Result<()> {
    let kill = [Fault::ProcessKilled];
    Box::pin(scenario(
        "R1 services killed",
        &kill.repeat(4),
        &kill.repeat(20),
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_order_is_lost_when_postgres_crashes() -> anyhow::Result<()> {
    let faults = [
        Fault::DatabaseGone,
        Fault::PostgresStopped,
        Fault::PostgresKilled,
    ];
    Box::pin(scenario("R7 Postgres, orders", &faults, &faults.repeat(4))).await
}
