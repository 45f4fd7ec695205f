//! Which commands of a batch go now, and under which leases.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use metrics::counter;
use oms_core::Sku;
use oms_lock::{Free, Lease, Leases, Token};
use tokio::time::Instant;

use crate::store::lanes::Fencing;

use super::job::Job;

/// Commands that went without a lease, by reason.
pub(super) const BYPASS: &str = "oms_inventory_lease_bypass_total";

/// Batches after which another replica was let go first.
pub(super) const YIELDS: &str = "oms_inventory_lease_yields_total";

/// Keeps the replicas from working on the same SKU. Redis, or the model of it that the simulation breaks.
pub(super) trait Gate: Send + Sync {
    /// Takes the leases of those of these SKUs that are free. The error is the reason of the bypass.
    fn take<'a>(&'a self, skus: &'a [Sku]) -> BoxFuture<'a, Result<Grip, &'static str>>;

    /// Gives leases back, and tells whether another replica waits for one of them. When that fails they expire by
    /// themselves.
    fn give_back(&self, grip: Grip) -> BoxFuture<'_, bool>;

    /// The database has seen a later token of the SKU than this one: later tokens begin above it.
    fn begin_generation<'a>(&'a self, sku: &'a Sku, token: i64) -> BoxFuture<'a, ()>;
}

/// Leases that were taken together.
pub(super) struct Grip {
    /// The leases as the lanes in the database see them.
    pub(super) fencing: Fencing,
    /// Until when it is worth beginning work with them.
    pub(super) fresh_until: Instant,
    /// SKUs that could not be asked for: their node of a Redis Cluster is gone.
    pub(super) cut_off: BTreeSet<Sku>,
    /// What Redis needs to get them back.
    pub(super) lease: Option<Lease>,
}

impl Grip {
    fn covers(&self, job: &Job) -> bool {
        let tokens = &self.fencing.tokens;
        job.skus.iter().all(|sku| tokens.contains_key(sku))
    }

    fn cuts_off(&self, job: &Job) -> bool {
        job.skus.iter().any(|sku| self.cut_off.contains(sku))
    }

    /// Whether less than two thirds of their life are over.
    pub(super) fn is_fresh(&self) -> bool {
        Instant::now() < self.fresh_until
    }
}

/// What came of asking for leases.
pub(super) struct Grant {
    /// Leases to give back afterwards.
    pub(super) grip: Option<Grip>,
    /// Commands that go now.
    pub(super) go: Vec<Job>,
    /// Commands whose SKUs are in work at another replica.
    pub(super) wait: Vec<Job>,
}

impl Grant {
    /// All go, without leases.
    pub(super) fn bypass(jobs: Vec<Job>) -> Self {
        Self {
            grip: None,
            go: jobs,
            wait: Vec::new(),
        }
    }
}

/// Asks for the leases of all SKUs of the batch. Commands whose SKUs were all got go; of the others, those that have
/// waited long enough go without, since no order with many hot SKUs shall starve.
pub(super) async fn acquire(gate: &dyn Gate, mut jobs: Vec<Job>, patience: Duration) -> Grant {
    let now = Instant::now();
    for job in &mut jobs {
        job.lease_since.get_or_insert(now);
    }
    let skus: BTreeSet<&Sku> = jobs.iter().flat_map(|job| &job.skus).collect();
    let skus: Vec<Sku> = skus.into_iter().cloned().collect();
    let grip = match gate.take(&skus).await {
        Ok(grip) => grip,
        Err(reason) => {
            count_bypass(reason, jobs.len());
            return Grant::bypass(jobs);
        }
    };
    let is_patient = |job: &Job| {
        job.lease_since
            .is_some_and(|since| since.elapsed() < patience)
    };
    let (wait, go): (Vec<Job>, Vec<Job>) = jobs
        .into_iter()
        .partition(|job| !grip.covers(job) && !grip.cuts_off(job) && is_patient(job));
    let cut_off = go.iter().filter(|job| grip.cuts_off(job)).count();
    let uncovered = go.iter().filter(|job| !grip.covers(job)).count();
    count_bypass("node_gone", cut_off);
    count_bypass("busy", uncovered - cut_off);
    Grant {
        grip: Some(grip),
        go,
        wait,
    }
}

/// Counts commands that go without a lease.
pub(super) fn count_bypass(reason: &'static str, commands: usize) {
    if commands > 0 {
        counter!(BYPASS, "reason" => reason).increment(commands as u64);
    }
}

impl Gate for Leases {
    fn take<'a>(&'a self, skus: &'a [Sku]) -> BoxFuture<'a, Result<Grip, &'static str>> {
        async move {
            let names: Vec<&str> = skus.iter().map(Sku::as_str).collect();
            match self.acquire_free(&names).await {
                Ok(free) => Ok(grip(free, skus)),
                Err(unavailable) => {
                    tracing::debug!(%unavailable, "lanes go without leases");
                    Err(unavailable.reason())
                }
            }
        }
        .boxed()
    }

    fn give_back(&self, grip: Grip) -> BoxFuture<'_, bool> {
        async move {
            let Some(lease) = grip.lease else {
                return false;
            };
            match self.release(lease).await {
                Ok(released) => !released.waited_for.is_empty(),
                Err(unavailable) => {
                    tracing::debug!(%unavailable, "leases are left to expire");
                    false
                }
            }
        }
        .boxed()
    }

    fn begin_generation<'a>(&'a self, sku: &'a Sku, token: i64) -> BoxFuture<'a, ()> {
        async move {
            let Some(fenced) = Token::new(token >> 32, token & i64::from(u32::MAX)) else {
                return;
            };
            if let Err(unavailable) = self.renew_generation(sku.as_str(), fenced).await {
                tracing::debug!(%unavailable, "generation was not renewed");
            }
        }
        .boxed()
    }
}

fn grip(free: Free, skus: &[Sku]) -> Grip {
    let lease = free.lease;
    let token = |sku: &Sku| Some((sku.clone(), lease.token(sku.as_str())?.get()));
    let fencing = Fencing {
        holder: lease.holder(),
        tokens: skus.iter().filter_map(token).collect(),
    };
    let gone: BTreeSet<&str> = free.gone.iter().map(|(name, _)| name.as_str()).collect();
    let is_gone = |sku: &&Sku| gone.contains(sku.as_str());
    Grip {
        fencing,
        fresh_until: lease.fresh_until().into(),
        cut_off: skus.iter().filter(is_gone).cloned().collect(),
        lease: Some(lease),
    }
}
