//! What crash tests share: the seed, the number of rounds, engines that survive a crash of their own, progress for people, and the
//! pulse of what goes on.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use oms_engines::EnginesConfig;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::suite::{PATIENCE, wait_for};

/// The seed that was asked for with `OMS_CRASH_SEED`, else a new one.
///
/// # Errors
/// When it is no number.
pub fn seed() -> anyhow::Result<u64> {
    match std::env::var("OMS_CRASH_SEED") {
        Ok(seed) => seed.parse().context("OMS_CRASH_SEED"),
        // Short enough to type. The standard library seeds every hasher from the system's randomness.
        Err(_) => Ok(RandomState::new().hash_one(()) % 1_000_000),
    }
}

/// Rounds of the long form, which `OMS_CRASH_ROUNDS` asks for; `None` in the short form.
///
/// # Errors
/// When it is no number.
pub fn rounds() -> anyhow::Result<Option<usize>> {
    match std::env::var("OMS_CRASH_ROUNDS") {
        Ok(rounds) => Ok(Some(rounds.parse().context("OMS_CRASH_ROUNDS")?)),
        Err(_) => Ok(None),
    }
}

/// Engines that keep what they committed through a crash of their own.
pub fn durable(engines: EnginesConfig) -> EnginesConfig {
    EnginesConfig {
        durable: true,
        ..engines
    }
}

/// Tells people how it goes.
#[expect(
    clippy::print_stderr,
    reason = "progress of a test goes to standard error"
)]
pub fn say(text: impl AsRef<str>) {
    eprintln!("{}", text.as_ref());
}

/// What was served, so that faults know when to strike and how long nobody was served after them.
#[derive(Debug)]
pub struct Pulse {
    served: Mutex<Vec<Served>>,
    /// How many they are.
    count: watch::Sender<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Served {
    arrived: Instant,
    at: Instant,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            served: Mutex::default(),
            count: watch::Sender::new(0),
        }
    }
}

impl Pulse {
    fn lock(&self) -> MutexGuard<'_, Vec<Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody who arrived then has just been served.
    pub fn beat(&self, arrived: Instant) {
        let at = Instant::now();
        self.lock().push(Served { arrived, at });
        self.count.send_modify(|count| *count += 1);
    }

    /// How many were served so far.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Answers in the moment in which so many more have been served.
    ///
    /// # Errors
    /// When that takes longer than two minutes.
    pub async fn more(&self, more: usize) -> anyhow::Result<()> {
        let (mut count, enough) = (self.count.subscribe(), self.count() + more);
        let served = count.wait_for(|served| *served >= enough);
        let served = tokio::time::timeout(PATIENCE, served).await;
        served.with_context(|| format!("only {} were served", self.count()))??;
        Ok(())
    }

    /// Waits until somebody was served who had arrived after this moment; answers how long after it that was.
    ///
    /// # Errors
    /// When that takes longer than two minutes.
    pub async fn goes_on_after(&self, moment: Instant) -> anyhow::Result<Duration> {
        wait_for("an order after the fault to be served", || async {
            let served = self.lock();
            let later = served.iter().filter(|one| one.arrived > moment);
            let first = later.map(|one| one.at - moment).min();
            Ok(first.ok_or_else(|| format!("{} were served", served.len())))
        })
        .await
    }
}

/// Does something that blocks, such as with engines, beside what else goes on.
///
/// # Errors
/// What it answers.
pub fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> impl Future<Output = anyhow::Result<T>> {
    let work = tokio::task::spawn_blocking(act);
    async move { work.await? }
}
