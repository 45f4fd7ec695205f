//! Tells people when something stops working and when it works again, once each.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::metrics::FAILING;

/// Whether one thing that leases need works.
pub(crate) struct Health {
    /// `redis` or `generation`, for metrics.
    part: &'static str,
    /// Which one, for logs.
    name: String,
    fails: AtomicBool,
}

impl Health {
    pub(crate) fn new(part: &'static str, name: String) -> Self {
        Self {
            part,
            name,
            fails: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_bad(&self) -> bool {
        self.fails.load(Ordering::Relaxed)
    }

    /// It failed. Counts and logs if it worked before.
    pub(crate) fn bad(&self, reason: &impl Display) {
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

    /// It worked. Counts and logs if it failed before.
    pub(crate) fn good(&self) {
        if self.fails.swap(false, Ordering::Relaxed) {
            metrics::gauge!(FAILING, "part" => self.part).decrement(1);
            tracing::info!(part = self.part, name = self.name, "leases again");
        }
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
