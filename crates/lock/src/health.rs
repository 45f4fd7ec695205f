//! Tells people when something stops working and when it works again, once each.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::FAILING;

/// What works again has worked for so long: a server that answers every other call fails.
const STEADY: Duration = Duration::from_secs(1);

/// Whether one thing that leases need works.
pub(crate) struct Health {
    /// `redis` or `generation`, for metrics.
    part: &'static str,
    /// Which one, for logs.
    name: String,
    /// Asked on every success, without the lock.
    fails: AtomicBool,
    failed_at: Mutex<Option<Instant>>,
}

impl Health {
    pub(crate) fn new(part: &'static str, name: String) -> Self {
        Self {
            part,
            name,
            fails: AtomicBool::new(false),
            failed_at: Mutex::new(None),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// It failed. Counts and logs if it worked before.
    pub(crate) fn bad(&self, reason: &impl Display) {
        let mut failed_at = self.failed_at();
        *failed_at = Some(Instant::now());
        if !self.fails.swap(true, Ordering::Relaxed) {
            metrics::gauge!(FAILING, "part" => self.part).increment(1);
            tracing::warn!(
                part = self.part,
                name = self.name,
                %reason,
                "no leases from here; work goes on without them"
            );
        }
    }

    /// It worked. Counts and logs if it failed before, but not just before.
    pub(crate) fn good(&self) {
        if !self.fails.load(Ordering::Relaxed) {
            return;
        }
        let failed_at = self.failed_at();
        let is_steady = failed_at.is_none_or(|at| at.elapsed() >= STEADY);
        if is_steady && self.fails.swap(false, Ordering::Relaxed) {
            metrics::gauge!(FAILING, "part" => self.part).decrement(1);
            tracing::info!(part = self.part, name = self.name, "leases again");
        }
    }

    fn failed_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        // A node that has left its Cluster fails no more.
        if *self.fails.get_mut() {
            metrics::gauge!(FAILING, "part" => self.part).decrement(1);
        }
    }
}
