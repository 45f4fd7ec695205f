//! Takes batches from the queue and sees them through.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use oms_core::Sku;
use oms_postgres::ErrorKind;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::domain::effect::Outcome;

use super::job::{Claim, Job};
use super::lease::{self, Grant, Grip};
use super::transaction::Undecided;
use super::{Error, Shared, failpoint};

/// Commands decided together.
pub(super) const BATCH_SIZE: &str = "oms_inventory_lane_batch_size";

/// Wait of a command until it is decided.
pub(super) const LANE_WAIT: &str = "oms_inventory_lane_wait_seconds";

/// Commands decided, with leases and without.
pub(super) const LANE_COMMANDS: &str = "oms_inventory_lane_commands";

/// Batches refused because a lane has seen a later lease than theirs.
pub(super) const FENCED: &str = "oms_inventory_lease_fenced_total";

/// How often a batch may be fenced off before it goes without leases.
const FENCED_MAX: u32 = 2;

/// How often the SKUs of a command are looked up again before it is given up.
const LOOKED_MAX: u32 = 5;

/// Works until canceled; a batch in work is finished first.
pub(super) async fn run(shared: Arc<Shared>, cancel: CancellationToken) {
    loop {
        let jobs = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            jobs = shared.queue.next(shared.config.batch_max) => jobs,
        };
        shared.see_through(jobs).await;
    }
}

impl Shared {
    /// Answers every command of a batch, or puts it back.
    async fn see_through(&self, jobs: Vec<Job>) {
        // Whatever happens in here, the claims are freed: a panic would block their SKUs for ever.
        let mut batches = vec![Claimed::of(self, jobs)];
        while let Some(batch) = batches.pop() {
            batches.extend(self.attempt(batch).await);
        }
    }

    /// Decides a batch. Answers the batches it has to be split into when something in it is poison.
    async fn attempt<'a>(&'a self, mut batch: Claimed<'a>) -> Vec<Claimed<'a>> {
        let mut fenced = 0;
        loop {
            let Grant { grip, go, wait } = self.grant(&mut batch, fenced).await;
            if go.is_empty() {
                self.give_back(grip).await;
                batch.jobs = wait;
                self.pause().await;
                continue;
            }
            batch.put_back(wait);
            batch.jobs = go;
            // Callers may have gone while leases were waited for.
            batch.jobs.retain(|job| !job.is_abandoned());
            if batch.jobs.is_empty() {
                self.give_back(grip).await;
                return Vec::new();
            }
            if grip.as_ref().is_some_and(|grip| !grip.is_fresh()) {
                self.give_back(grip).await;
                continue;
            }
            failpoint::before_begin(&self.config, grip.as_ref());
            let decided = self.transact(&batch.jobs, grip.as_ref()).await;
            if let Err(Undecided::Fenced(skus)) = &decided {
                counter!(FENCED).increment(1);
                self.begin_generations(grip.as_ref(), skus).await;
                self.give_back(grip).await;
                fenced += 1;
                continue;
            }
            // The SKUs are freed last: whoever takes them next here would find our own leases in the way.
            let claims = decided.is_ok().then(|| batch.move_claims());
            // The callers first: their answers are committed, and giving back takes a round trip.
            let split = self.answer(batch, decided).await;
            self.give_back(grip).await;
            drop(claims);
            return split;
        }
    }

    async fn grant(&self, batch: &mut Claimed<'_>, fenced: u32) -> Grant {
        let jobs = std::mem::take(&mut batch.jobs);
        let Some(gate) = &self.gate else {
            return Grant::bypass(jobs);
        };
        if fenced > FENCED_MAX {
            lease::count_bypass("fenced", jobs.len());
            return Grant::bypass(jobs);
        }
        lease::acquire(&**gate, jobs, self.config.lease_wait).await
    }

    /// Gives leases back, and lets another replica that waits for one of them go first: it has 1 to 2 ms.
    async fn give_back(&self, grip: Option<Grip>) {
        if let (Some(gate), Some(grip)) = (&self.gate, grip)
            && gate.give_back(grip).await
        {
            counter!(lease::YIELDS).increment(1);
            self.rest(1_000, 2_000).await;
        }
    }

    /// A short pause, 2 to 6 ms, before busy SKUs are asked for again.
    pub(super) async fn pause(&self) {
        self.rest(2_000, 6_000).await;
    }

    /// Waits for some time between these, in microseconds.
    async fn rest(&self, least: u64, most: u64) {
        let spread = self.ids.next().as_u128() % u128::from(most - least);
        let spread = u64::try_from(spread).unwrap_or_default();
        tokio::time::sleep(Duration::from_micros(least + spread)).await;
    }

    async fn transact(
        &self,
        jobs: &[Job],
        grip: Option<&Grip>,
    ) -> Result<Vec<Result<Outcome, Error>>, Undecided> {
        let Some(first) = jobs.first() else {
            return Ok(Vec::new());
        };
        #[expect(clippy::cast_precision_loss, reason = "histograms are floating point")]
        histogram!(BATCH_SIZE).record(jobs.len() as f64);
        let wait = histogram!(LANE_WAIT);
        for job in jobs {
            wait.record(job.since.elapsed());
        }
        let lease = if grip.is_some() { "held" } else { "none" };
        counter!(LANE_COMMANDS, "lease" => lease).increment(jobs.len() as u64);
        self.books
            .decide(jobs, grip.map(|grip| &grip.fencing))
            .instrument(first.span.clone())
            .await
    }

    /// Redis counts from below what it once gave out: its counters begin anew above that.
    async fn begin_generations(&self, grip: Option<&Grip>, skus: &[Sku]) {
        let (Some(gate), Some(grip)) = (&self.gate, grip) else {
            return;
        };
        for sku in skus {
            let Some(token) = grip.fencing.tokens.get(sku) else {
                continue;
            };
            tracing::info!(%sku, %token, "lease was fenced off");
            gate.begin_generation(sku, *token).await;
        }
    }

    async fn answer<'a>(
        &'a self,
        mut batch: Claimed<'a>,
        decided: Result<Vec<Result<Outcome, Error>>, Undecided>,
    ) -> Vec<Claimed<'a>> {
        match decided {
            Ok(answers) => {
                let jobs = std::mem::take(&mut batch.jobs);
                drop(batch);
                for (job, answer) in jobs.into_iter().zip(answers) {
                    job.finish(answer);
                }
                Vec::new()
            }
            Err(Undecided::Moved | Undecided::Fenced(_)) => {
                self.look_again(batch).await;
                Vec::new()
            }
            Err(Undecided::Store(error)) => Self::fail(batch, error),
            Err(Undecided::Apart) => Self::halve(batch),
        }
    }

    fn halve(mut batch: Claimed<'_>) -> Vec<Claimed<'_>> {
        let half = batch.split_off(batch.jobs.len() / 2);
        vec![half, batch]
    }

    /// A database that is gone fails all; else the batch is halved until the poison stands alone.
    fn fail(mut batch: Claimed<'_>, error: oms_postgres::Error) -> Vec<Claimed<'_>> {
        if batch.jobs.len() > 1 && error.kind() != ErrorKind::Unavailable {
            return Self::halve(batch);
        }
        let mut jobs = std::mem::take(&mut batch.jobs);
        drop(batch);
        if let Some(last) = jobs.pop() {
            last.finish(Err(error.into()));
        }
        for job in jobs {
            job.finish(Err(Error::Unavailable));
        }
        Vec::new()
    }

    /// A reservation came to be after its SKUs were looked up: looks again and puts the commands back.
    async fn look_again(&self, mut batch: Claimed<'_>) {
        let mut again = Vec::new();
        for mut job in std::mem::take(&mut batch.jobs) {
            job.looked += 1;
            if job.looked > LOOKED_MAX {
                job.finish(Err(Error::Conflict));
                continue;
            }
            match self.skus_of(&job.request.command).await {
                Ok(skus) => {
                    job.skus = skus;
                    again.push(job);
                }
                Err(error) => job.finish(Err(error)),
            }
        }
        self.queue.put_back(again, batch.take_claims());
    }
}

/// Commands with what they claimed in the queue, which is freed when this is dropped.
struct Claimed<'a> {
    shared: &'a Shared,
    jobs: Vec<Job>,
    claims: Vec<Claim>,
}

impl<'a> Claimed<'a> {
    fn of(shared: &'a Shared, jobs: Vec<Job>) -> Self {
        let claims = jobs.iter().flat_map(Job::claims).collect();
        Self {
            shared,
            jobs,
            claims,
        }
    }

    /// Another one that frees its claims.
    fn move_claims(&mut self) -> Self {
        Self {
            shared: self.shared,
            jobs: Vec::new(),
            claims: self.take_claims(),
        }
    }

    fn take_claims(&mut self) -> Vec<Claim> {
        std::mem::take(&mut self.claims)
    }

    /// Puts some of the commands back with their claims.
    fn put_back(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let claims: Vec<Claim> = jobs.iter().flat_map(Job::claims).collect();
        self.forget(&claims);
        self.shared.queue.put_back(jobs, claims);
    }

    /// Splits the commands from this place on off, with their claims.
    fn split_off(&mut self, place: usize) -> Self {
        let half = Self::of(self.shared, self.jobs.split_off(place));
        self.forget(&half.claims);
        half
    }

    fn forget(&mut self, claims: &[Claim]) {
        for claim in claims {
            if let Some(place) = self.claims.iter().position(|own| own == claim) {
                self.claims.swap_remove(place);
            }
        }
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        let claims = self.take_claims();
        if !claims.is_empty() {
            self.shared.queue.done(claims);
        }
    }
}
