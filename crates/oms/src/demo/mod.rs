//! `oms demo`: takes retail orders to cash and back, with bots that use the public gRPC API only.
//!
//! | module | who it plays |
//! |---|---|
//! | [`retail`], [`plan`] | the world: orders of a file, warehouses, stock |
//! | [`setup`] | the platform team: channel, catalogue, locations, receipts |
//! | [`shop`] | the shop that places orders |
//! | [`floor`] | pickers and packers of each warehouse |
//! | [`carrier`] | the dock and the carrier: ship confirmation, scans |
//! | [`customer`] | customers who return what they bought, and the desk that takes it back |
//! | [`board`] | everybody's view of how far things are, fed by the event feeds |
//! | [`report`] | what came of it |
//! | [`small`] | another world: small orders without end, for the bench |

mod board;
mod carrier;
mod customer;
mod feed;
mod floor;
mod plan;
mod report;
mod retail;
mod setup;
mod shop;
pub(crate) mod small;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use oms_telemetry::TelemetryConfig;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::DemoArgs;
use crate::clients::Clients;
use crate::suite::{Suite, SuiteConfig};
use crate::verify;
use board::Board;
use retail::Retail;

/// The built-in sample.
const SAMPLE: &str = include_str!("../../data/orders-sample.csv");
/// Nothing moved for this long: the demo gives up and says what it waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What every bot works with.
pub(crate) struct World {
    /// Clients on behalf of `user:demo`.
    pub(crate) clients: Clients,
    /// Orders and products.
    pub(crate) retail: Retail,
    /// How far things are.
    pub(crate) board: Board,
    /// Canceled when everything is done.
    pub(crate) done: CancellationToken,
}

/// Runs the demo; true when the verifier found nothing.
pub(crate) async fn demo(args: &DemoArgs) -> anyhow::Result<bool> {
    let retail = match &args.orders {
        Some(path) => retail::read_file(path)?,
        None => retail::read(SAMPLE)?,
    };
    // Warnings go to the log only on request: they would break the progress bars.
    let quiet = TelemetryConfig {
        filter: "error".to_owned(),
        ..TelemetryConfig::default()
    };
    let telemetry = oms_telemetry::start("oms", &quiet).context("telemetry")?;
    let mut engines = args.engines.config(true);
    engines.durable = true;
    if !args.json {
        engines.progress = oms_engines::to_stderr();
    }
    let suite = Suite::start(SuiteConfig::new(engines)).await?;
    let result = run(args, &suite, retail).await;
    suite.stop().await?;
    telemetry.shutdown().await;
    result
}

async fn run(args: &DemoArgs, suite: &Suite, retail: Retail) -> anyhow::Result<bool> {
    let bars = Bars::new(args.json, &retail);
    let world = Arc::new(World {
        clients: Clients::of_suite(suite, "user:demo")?,
        board: Board::new(retail.orders.len()),
        retail,
        done: CancellationToken::new(),
    });
    setup::set_up(&world, &bars).await?;
    let started = Instant::now();
    let mut bots = bots(&world);
    let placed = shop::place_all(&world, args.callers, &bars).await?;
    let settled = tokio::select! {
        settled = wait_until_settled(&world, &bars) => settled,
        failed = first_failure(&mut bots) => failed,
    };
    let elapsed = started.elapsed();
    world.done.cancel();
    while bots.join_next().await.is_some() {}
    bars.finish();
    settled?;
    let verdict = verify::run(&suite.engines.postgres_url(), true).await?;
    let report = report::collect(&world, &placed, elapsed, verdict).await?;
    report.print(args.json)?;
    Ok(report.is_clean())
}

/// Everybody who works while orders come in.
fn bots(world: &Arc<World>) -> JoinSet<anyhow::Result<()>> {
    let mut bots = JoinSet::new();
    bots.spawn(board::follow_orders(Arc::clone(world)));
    bots.spawn(board::follow_returns(Arc::clone(world)));
    bots.spawn(carrier::work(Arc::clone(world)));
    bots.spawn(customer::work(Arc::clone(world)));
    for (number, warehouse) in plan::WAREHOUSES.iter().enumerate() {
        bots.spawn(floor::work(
            Arc::clone(world),
            warehouse.location_id,
            number,
        ));
    }
    bots
}

async fn first_failure(bots: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = bots.join_next().await {
        ended??;
    }
    anyhow::bail!("all bots went home early")
}

/// Waits until every order has ended or waits for stock only, and every return is closed.
async fn wait_until_settled(world: &World, bars: &Bars) -> anyhow::Result<()> {
    let mut moved_at = Instant::now();
    let mut last = world.board.snapshot();
    loop {
        let now = world.board.snapshot();
        bars.show(&now);
        if now.is_settled() {
            return Ok(());
        }
        if now != last {
            (last, moved_at) = (now, Instant::now());
        }
        if moved_at.elapsed() > PATIENCE {
            anyhow::bail!(
                "nothing has moved for a minute; {}",
                world.board.describe_open()
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Progress for people; silent for machines.
pub(crate) struct Bars {
    all: MultiProgress,
    /// Products and stock.
    pub(crate) setup: ProgressBar,
    /// Orders placed.
    pub(crate) placed: ProgressBar,
    confirmed: ProgressBar,
    shipped: ProgressBar,
    cash: ProgressBar,
    returned: ProgressBar,
}

impl Bars {
    fn new(silent: bool, retail: &Retail) -> Self {
        let all = MultiProgress::new();
        if silent {
            all.set_draw_target(ProgressDrawTarget::hidden());
        }
        let orders = u64::try_from(retail.orders.len()).unwrap_or(u64::MAX);
        let bar = |name: &'static str, length: u64| {
            let style =
                ProgressStyle::with_template("{prefix:>12} {bar:40} {pos:>6}/{len:6} {elapsed:>5}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
            all.add(ProgressBar::new(length).with_style(style).with_prefix(name))
        };
        Self {
            setup: bar(
                "catalogue",
                u64::try_from(retail.items.len()).unwrap_or(u64::MAX),
            ),
            placed: bar("placed", orders),
            confirmed: bar("confirmed", orders),
            shipped: bar("shipped", orders),
            cash: bar("cash", orders),
            returned: bar("returned", 0),
            all,
        }
    }

    fn show(&self, now: &board::Snapshot) {
        self.confirmed.set_position(now.confirmed);
        self.shipped.set_position(now.shipped);
        self.cash.set_position(now.cashed);
        self.returned
            .set_length(now.returns_open + now.returns_closed);
        self.returned.set_position(now.returns_closed);
    }

    fn finish(&self) {
        for bar in [
            &self.setup,
            &self.placed,
            &self.confirmed,
            &self.shipped,
            &self.cash,
            &self.returned,
        ] {
            bar.abandon();
        }
        // Nothing is left to draw; failing to clear a terminal that is gone does not matter.
        let _ = self.all.println("");
    }
}
