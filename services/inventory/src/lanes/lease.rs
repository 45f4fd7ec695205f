//! Which commands of a batch go now, and under which leases.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use metrics::counter;
use oms_core::Sku;
use oms_lock::{Lease, Leases};

use crate::store::lanes::Fencing;

use super::job::Job;

/// Commands that went without a lease, by reason.
pub(super) const BYPASS: &str = "oms_inventory_lease_bypass_total";

/// What came of asking for leases.
pub(super) struct Grant {
    /// Leases to give back afterwards.
    pub(super) lease: Option<Lease>,
    /// Commands that go now.
    pub(super) go: Vec<Job>,
    /// Commands whose SKUs are in work at another replica.
    pub(super) wait: Vec<Job>,
}

/// Asks for the leases of all SKUs of the batch. Commands whose SKUs were all got go; of the others, those that have
/// waited long enough go without, since no order with many hot SKUs shall starve.
pub(super) async fn acquire(
    leases: Option<&Leases>,
    mut jobs: Vec<Job>,
    patience: Duration,
) -> Grant {
    let Some(leases) = leases else {
        return Grant {
            lease: None,
            go: jobs,
            wait: Vec::new(),
        };
    };
    let now = Instant::now();
    for job in &mut jobs {
        job.lease_since.get_or_insert(now);
    }
    let skus: BTreeSet<&Sku> = jobs.iter().flat_map(|job| &job.skus).collect();
    let names: Vec<&str> = skus.into_iter().map(Sku::as_str).collect();
    let free = match leases.acquire_free(&names).await {
        Ok(free) => free,
        Err(unavailable) => {
            bypass(unavailable.reason(), jobs.len());
            tracing::debug!(%unavailable, "lanes go without leases");
            return Grant {
                lease: None,
                go: jobs,
                wait: Vec::new(),
            };
        }
    };
    let is_covered = |job: &Job| {
        job.skus
            .iter()
            .all(|sku| free.lease.token(sku.as_str()).is_some())
    };
    let is_patient = |job: &Job| {
        job.lease_since
            .is_some_and(|since| since.elapsed() < patience)
    };
    let (wait, go): (Vec<Job>, Vec<Job>) = jobs
        .into_iter()
        .partition(|job| !is_covered(job) && is_patient(job));
    bypass("busy", go.iter().filter(|job| !is_covered(job)).count());
    Grant {
        lease: Some(free.lease),
        go,
        wait,
    }
}

/// The lease as the lanes in the database see it.
pub(super) fn fencing(lease: &Lease) -> Fencing {
    let tokens = lease
        .tokens()
        .filter_map(|(name, token)| Some((name.parse().ok()?, token.get())));
    Fencing {
        holder: lease.holder(),
        tokens: tokens.collect(),
    }
}

/// Gives leases back. When that fails they expire by themselves.
pub(super) async fn release(leases: Option<&Leases>, lease: Option<Lease>) {
    if let (Some(leases), Some(lease)) = (leases, lease)
        && !lease.is_empty()
        && let Err(unavailable) = leases.release(lease).await
    {
        tracing::debug!(%unavailable, "leases are left to expire");
    }
}

/// Counts commands that go without a lease.
pub(super) fn bypass(reason: &'static str, commands: usize) {
    if commands > 0 {
        counter!(BYPASS, "reason" => reason).increment(commands as u64);
    }
}

/// A short pause, 2 to 6 ms, before busy SKUs are asked for again.
pub(super) async fn pause() {
    // The standard library seeds every hasher from the system's randomness.
    let spread = RandomState::new().hash_one(0) % 4_000;
    tokio::time::sleep(Duration::from_micros(2_000 + spread)).await;
}
