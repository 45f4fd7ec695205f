//! The five services in this process, as `oms up` runs them, and a world of small orders.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::stream::{self, StreamExt, TryStreamExt};
use oms_engines::Engines;
use oms_proto::order::v1::WaitFor;

use super::Plan;
use crate::bench::figures::{Figures, Latencies};
use crate::clients::Clients;
use crate::demo::small::{self, Small};
use crate::suite::{Suite, SuiteConfig};

/// Everything is quiet within this time.
const PATIENCE: Duration = Duration::from_secs(300);

/// See the module.
pub(super) struct Rig {
    suite: Suite,
    small: Small,
    url: String,
    callers: u32,
    /// Orders placed so far; each has a number of its own.
    placed: u32,
}

impl Rig {
    /// Starts the services and fills catalogue and shelves.
    pub(super) async fn start(engines: &Arc<Engines>, plan: &Plan) -> anyhow::Result<Self> {
        let mut config = oms_engines::EnginesConfig::new(engines.dir().join("suite"));
        config.postgres_url = Some(engines.postgres_url());
        config.redis_url = Some(engines.redis_url());
        let suite = Suite::start(SuiteConfig::new(config)).await?;
        let clients = Clients::of_suite(&suite, "user:bench")?;
        let small = small::set_up(clients).await?;
        Ok(Self {
            suite,
            small,
            url: engines.database_url("oms_order"),
            callers: plan.callers,
            placed: 0,
        })
    }

    /// Takes so many orders to cash, while pickers, packers, the dock and the carrier work as in the demo. The latency is the time from
    /// the order to its captured money.
    pub(super) async fn take_to_cash(&mut self, orders: u32) -> anyhow::Result<Figures> {
        let numbers = self.placed..self.placed + orders;
        self.placed += orders;
        let began = Instant::now();
        let times = self.small.take_to_cash(numbers, self.callers).await?;
        let elapsed = began.elapsed();
        let mut latencies = Latencies::new()?;
        for time in &times {
            latencies.record(*time);
        }
        self.settle().await?;
        Ok(Figures::of(&latencies, elapsed))
    }

    /// Sends the bots home: what is placed from now on is released to the floor and stays there.
    pub(super) async fn send_home(&mut self) -> anyhow::Result<()> {
        self.small.go_home().await
    }

    /// Places orders for so many seconds. Their sagas run meanwhile, and are over before this returns.
    pub(super) async fn place(&mut self, callers: u32, seconds: u32) -> anyhow::Result<Figures> {
        let end = Instant::now() + Duration::from_secs(u64::from(seconds));
        let began = Instant::now();
        let small = &self.small;
        let numbers = (self.placed..).take_while(|_| Instant::now() < end);
        let callers = usize::try_from(callers)?;
        let times: Vec<Duration> = stream::iter(numbers)
            .map(|number| small.place(number, WaitFor::Pending))
            .buffer_unordered(callers)
            .try_collect()
            .await?;
        let elapsed = began.elapsed();
        self.placed += u32::try_from(times.len())?;
        let mut latencies = Latencies::new()?;
        for time in times {
            latencies.record(time);
        }
        self.settle().await?;
        Ok(Figures::of(&latencies, elapsed))
    }

    /// Waits until no saga and no task has anything left to do.
    pub(super) async fn settle(&self) -> anyhow::Result<()> {
        super::settle(&self.url, PATIENCE).await
    }

    /// Stops the services.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        drop(self.small);
        self.suite.stop().await.context("the services ended badly")
    }
}
