//! The five services in this process, as `oms up` runs them, at rest before each measurement.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use anyhow::Context;
use oms_engines::{Engines, EnginesConfig};
use tokio_util::sync::CancellationToken;

use super::Plan;
use super::callers::{Callers, Method, Tally};
use super::watch::{self, Most};
use crate::bench::figures::{Figures, median};
use crate::bench::{orders, store};
use crate::clients::Clients;
use crate::demo::small::{self, Shopper};
use crate::suite::{Suite, SuiteConfig};

/// Sagas of all that was placed are over within this time.
const PATIENCE: Duration = Duration::from_mins(10);
/// Calls that tell how long one takes when nobody else calls.
const CALM_CALLS: usize = 40;
/// Calls in a row whose median is judged after the overload.
const JUDGED_CALLS: usize = 5;
/// Nobody waits for the recovery any longer.
const RECOVERY_MOST: Duration = Duration::from_mins(2);

/// One round.
pub(super) struct Round {
    /// Of as many callers as the peak has.
    pub(super) peak: Figures,
    /// What those were told who were too many.
    pub(super) tally: Tally,
    /// Calls that were made per second.
    pub(super) offered_per_second: f64,
    /// Seconds until a call took at most twice as long as before.
    pub(super) recovered: f64,
    /// The longest queues.
    pub(super) most: Most,
    /// Memory that came in the overload, of services and callers together.
    pub(super) grown_mib: f64,
    /// What callers were told and the books do not say.
    pub(super) wrong: Option<String>,
}

/// See the module.
pub(super) struct Rig {
    suite: Suite,
    engines: Arc<Engines>,
    shopper: Shopper,
    next: Arc<AtomicU32>,
}

impl Rig {
    /// Starts the services and fills catalogue and shelves. Nobody picks or packs.
    pub(super) async fn start(engines: &Arc<Engines>) -> anyhow::Result<Self> {
        let mut config = EnginesConfig::new(engines.dir().join("suite"));
        config.postgres_url = Some(engines.postgres_url());
        config.redis_url = Some(engines.redis_url());
        let suite = Suite::start(SuiteConfig::new(config)).await?;
        let clients = Clients::of_suite(&suite, "user:bench")?;
        let mut small = small::set_up(clients).await?;
        small.go_home().await?;
        Ok(Self {
            suite,
            engines: Arc::clone(engines),
            shopper: small.shopper(),
            next: Arc::new(AtomicU32::new(0)),
        })
    }

    fn callers(&self, method: Method) -> anyhow::Result<Callers> {
        let url = self.suite.url(method.service())?;
        Ok(Callers::new(method, url, self.shopper.clone(), &self.next))
    }

    /// So many callers that wait for their answers; everything is at rest before and after.
    pub(super) async fn closed(
        &mut self,
        method: Method,
        callers: u32,
        time: Duration,
    ) -> anyhow::Result<Tally> {
        let tally = self.callers(method)?.closed(callers, time).await?;
        self.settle().await?;
        Ok(tally)
    }

    /// The peak, then too much, then the way back.
    pub(super) async fn round(
        &mut self,
        plan: &Plan,
        method: Method,
        callers: u32,
    ) -> anyhow::Result<Round> {
        let time = Duration::from_secs(u64::from(plan.seconds));
        let peak = self.closed(method, callers, time).await?.figures;
        let crowd = self.callers(method)?;
        let before = median(crowd.alone(CALM_CALLS).await?.into_iter());
        self.settle().await?;
        let stored = self.stored(method).await?;

        let memory = watch::memory();
        let stop = CancellationToken::new();
        let watching = tokio::spawn(watch::watch(method.service(), stop.clone()));
        let rate = peak.per_second * f64::from(plan.times);
        let tally = crowd.open(rate, time).await?;
        let ended = Instant::now();
        stop.cancel();
        let most = watching.await?;
        let recovered = recovery(&crowd, before, ended).await?;
        self.settle().await?;
        let more = self.stored(method).await? - stored - recovered.served;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let offered = tally.offered() as f64;
        Ok(Round {
            peak,
            offered_per_second: offered / time.as_secs_f64(),
            recovered: recovered.seconds,
            most,
            grown_mib: most.memory_mib - memory,
            wrong: wrong(method, &tally, more),
            tally,
        })
    }

    /// Orders, or reservations.
    async fn stored(&self, method: Method) -> anyhow::Result<i64> {
        let database = format!("oms_{}", method.service());
        let mut conn = store::connect(&self.engines.database_url(&database)).await?;
        match method {
            Method::Place => store::orders(&mut conn).await,
            Method::Reserve => store::reservations(&mut conn).await,
        }
    }

    /// Waits until no saga and no task has anything left to do.
    async fn settle(&self) -> anyhow::Result<()> {
        orders::settle(&self.engines.database_url("oms_order"), PATIENCE).await
    }

    /// Stops the services.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.suite.stop().await.context("the services ended badly")
    }
}

/// The way back.
struct Recovery {
    seconds: f64,
    /// Calls that were served on it.
    served: i64,
}

/// One caller, one call after the other, until they take at most twice as long as before.
async fn recovery(crowd: &Callers, before: f64, ended: Instant) -> anyhow::Result<Recovery> {
    let mut served = 0;
    loop {
        let times = crowd.alone(JUDGED_CALLS).await?;
        served += i64::try_from(times.iter().filter(|time| time.is_finite()).count())?;
        let is_back = median(times.into_iter()) <= 2.0 * before;
        if is_back || ended.elapsed() > RECOVERY_MOST {
            let seconds = ended.elapsed().as_secs_f64();
            return Ok(Recovery { seconds, served });
        }
    }
}

/// What was acknowledged is stored, what was refused is not; what had no answer in time may be either.
fn wrong(method: Method, tally: &Tally, stored: i64) -> Option<String> {
    let stored = u64::try_from(stored).unwrap_or_default();
    let most = tally.served + tally.late;
    if (tally.served..=most).contains(&stored) {
        return None;
    }
    Some(format!(
        "{method:?}: {} were served, {} had no answer in time, and {stored} are stored",
        tally.served, tally.late
    ))
}
