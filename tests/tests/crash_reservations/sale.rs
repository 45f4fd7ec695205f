//! Runs a plan: stock, replicas, buyers and faults.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use oms_engines::EnginesConfig;
use oms_tests::crash::{Pulse, say};
use oms_tests::replicas::Replicas;
use oms_tests::suite::Actor;
use sqlx::{Connection, PgConnection};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::audit::{self, Books, Story};
use crate::buyer::{Answer, Buyers, Record};
use crate::faults::{BYPASS, FENCED, Fault, Struck};
use crate::plan::{Early, Order, Plan, Scenario};
use crate::report::Outcome;
use oms_tests::dice::Dice;

/// Three, as many as it takes for two to be wrong about the third.
const REPLICAS: usize = 3;
/// Buyers that arrive together while faults happen, and the pause after them.
const BURST: usize = 6;
const BURST_PAUSE: Duration = Duration::from_millis(50);
/// Buyers who wait for an answer at the same time while faults happen.
const WAITING_MAX: usize = 60;
/// Somebody who only looks takes the room of so many buyers: together they hold no more than is left over.
const LOOKER: u32 = 6;
/// Most buyers who are served between two faults.
const BETWEEN_FAULTS: usize = 30;
/// Lines of each log that are told when something is wrong.
const LOG_LINES: usize = 40;

/// What buyers and faults know of each other.
#[derive(Debug)]
pub(crate) struct Sale {
    pub(crate) buyers: Buyers,
    pub(crate) pulse: Pulse,
}

impl Sale {
    /// A buyer's whole story.
    async fn serve(&self, order: Order) -> Record {
        let arrived = Instant::now();
        let record = self.buyers.reserve(order).await;
        if matches!(record.answer, Answer::Acknowledged(_)) {
            self.pulse.beat(arrived);
        }
        self.buyers.decide(record).await
    }

    /// So many buyers at the same time, until all were served.
    async fn rush(&self, orders: Vec<Order>, callers: usize) -> Vec<Record> {
        futures::stream::iter(orders)
            .map(|order| self.serve(order))
            .buffer_unordered(callers)
            .collect()
            .await
    }

    /// Buyers arrive in bursts; when all who were planned have come, people who only look, until `over`. Then all of the
    /// plan who are left, so many at the same time.
    async fn arrive(
        self: &Arc<Self>,
        planned: Vec<Order>,
        mut lookers: impl Iterator<Item = Order>,
        over: CancellationToken,
        callers: usize,
    ) -> anyhow::Result<Vec<Record>> {
        let room = Arc::new(Semaphore::new(WAITING_MAX));
        let mut planned = planned.into_iter();
        let mut served = JoinSet::new();
        while !over.is_cancelled() {
            for _ in 0..BURST {
                let buyer = planned.next().map(|order| (order, 1));
                let Some((order, width)) = buyer.or_else(|| Some((lookers.next()?, LOOKER))) else {
                    break;
                };
                let permit = Arc::clone(&room).acquire_many_owned(width).await?;
                let sale = Arc::clone(self);
                served.spawn(async move {
                    let record = sale.serve(order).await;
                    drop(permit);
                    record
                });
            }
            tokio::select! {
                () = over.cancelled() => {}
                () = tokio::time::sleep(BURST_PAUSE) => {}
            }
        }
        let mut records = self.rush(planned.collect(), callers).await;
        while let Some(record) = served.join_next().await {
            records.push(record?);
        }
        Ok(records)
    }
}

/// A sale that is over, and its replicas.
pub(crate) struct Sold {
    pub(crate) replicas: Replicas,
    story: Story,
    /// Without what the audit finds.
    figures: Outcome,
}

impl Sold {
    /// Compares what happened with what this connection sees. Violations are in the outcome.
    pub(crate) async fn audit(&self, conn: &mut PgConnection) -> anyhow::Result<Outcome> {
        let mut outcome = self.figures.clone();
        let books = Books::read(conn).await.context("books")?;
        audit::compare(&mut outcome, &self.story, &books);
        Ok(outcome)
    }
}

/// Runs a scenario and audits it; an error is what kept it from coming to an end.
pub(crate) async fn run(
    program: &str,
    engines: EnginesConfig,
    scenario: &Scenario,
    seed: u64,
) -> anyhow::Result<Outcome> {
    let sold = sell(program, engines, scenario, seed).await?;
    let mut conn = PgConnection::connect(&sold.replicas.database_url()).await?;
    let outcome = sold.audit(&mut conn).await?;
    if outcome.violations() > 0 {
        tell_logs(&sold.replicas)?;
    }
    Ok(outcome)
}

/// Runs a scenario, until everything it leads to has been done.
pub(crate) async fn sell(
    program: &str,
    engines: EnginesConfig,
    scenario: &Scenario,
    seed: u64,
) -> anyhow::Result<Sold> {
    say(format!("{}: seed {seed}", scenario.name));
    let mut replicas = Replicas::start(program, REPLICAS, engines).await?;
    let sold = sell_at(&mut replicas, scenario, seed).await;
    if sold.is_err() {
        tell_logs(&replicas)?;
    }
    let (story, figures) = sold?;
    Ok(Sold {
        replicas,
        story,
        figures,
    })
}

async fn sell_at(
    replicas: &mut Replicas,
    scenario: &Scenario,
    seed: u64,
) -> anyhow::Result<(Story, Outcome)> {
    let plan = Plan::of(scenario, seed);
    let mut figures = Outcome::new(scenario, seed, &plan);
    stock(&replicas.actor()?, &plan).await?;
    let sale = Arc::new(Sale {
        buyers: Buyers::of(replicas)?,
        pulse: Pulse::default(),
    });
    let began = Instant::now();
    let mut records = match scenario.early {
        Early::None => Vec::new(),
        Early::Mixed => sale.rush(plan.early, scenario.callers).await,
        Early::Paced => {
            let over = CancellationToken::new();
            let lookers = Plan::lookers(&plan.stock, seed);
            let arrive = sale.arrive(plan.early, lookers, over.clone(), scenario.callers);
            let strike = async {
                let _over = over.drop_guard();
                strike_all(&scenario.faults, seed, replicas, &sale).await
            };
            let (records, struck) = futures::join!(arrive, strike);
            figures.struck = struck?;
            records?
        }
    };
    let early = records.len();
    say(format!("{}: the rush, after {early} orders", scenario.name));
    records.extend(sale.rush(plan.rush, scenario.callers).await);
    figures.buyers = records.len();
    figures.sold_in = began.elapsed();
    figures.retries = sale.buyers.retries();
    figures.fenced = replicas.total(FENCED, |_| true).await?;
    figures.bypassed = replicas.total(BYPASS, |_| true).await?;
    audit::until_told(&replicas.database_url()).await?;
    let story = Story {
        stock: plan.stock,
        records,
        // There was enough for all of these, faults or not.
        must_be_served: if scenario.early == Early::Paced {
            early
        } else {
            0
        },
    };
    Ok((story, figures))
}

/// The last lines of every replica's log.
fn tell_logs(replicas: &Replicas) -> anyhow::Result<()> {
    for number in 0..replicas.count() {
        let log = replicas.get(number)?.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
        say(format!("replica {number} said:\n{last}"));
    }
    Ok(())
}

async fn strike_all(
    faults: &[Fault],
    seed: u64,
    replicas: &mut Replicas,
    sale: &Sale,
) -> anyhow::Result<Vec<Struck>> {
    // Other dice than those of the orders, so that a fault more or less changes no order.
    let mut dice = Dice::new(!seed);
    let mut struck = Vec::new();
    for fault in faults {
        // Right after an answer: what it acknowledged must be durable by then.
        sale.pulse.more(1 + dice.below(BETWEEN_FAULTS)).await?;
        let one = fault.strike(&mut dice, replicas, sale).await;
        let one = one.with_context(|| format!("seed {seed}: {fault:?}"))?;
        say(format!(
            "  {} at {} orders, recovered in {:.2} s",
            one.what,
            sale.pulse.count(),
            one.recovered_in.as_secs_f64()
        ));
        struck.push(one);
    }
    Ok(struck)
}

/// Items and their stock, half of it at each location, the odd unit in the west.
async fn stock(actor: &Actor, plan: &Plan) -> anyhow::Result<()> {
    let skus: Vec<&str> = plan.stock.keys().map(String::as_str).collect();
    actor.set_up_stock(&skus).await?;
    for (sku, units) in &plan.stock {
        for (location, units) in [("west", units - units / 2), ("east", units / 2)] {
            actor.receive(location, sku, units).await?;
        }
    }
    Ok(())
}
