//! Commands that wait, in the order of their arrival per SKU.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::gauge;
use tokio::sync::Notify;

use super::Error;
use super::job::{Claim, Job};

/// Commands that wait.
pub(super) const QUEUE_DEPTH: &str = "oms_inventory_lane_queue_depth";

/// See the module.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Notify,
    waiting_max: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Claims of the batches in work, each with the number of commands that hold it.
    busy: HashMap<Claim, usize>,
    closed: bool,
}

impl Queue {
    pub(super) fn new(waiting_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            wake: Notify::new(),
            waiting_max,
        }
    }

    /// Adds a command at the end.
    pub(super) fn push(&self, job: Job) -> Result<(), Error> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::Stopped);
        }
        if state.waiting.len() >= self.waiting_max {
            return Err(Error::Overloaded);
        }
        // Who frees what it needs wakes a runner then; until then there is nothing to do.
        let is_blocked = job.claims().any(|claim| state.busy.contains_key(&claim));
        state.waiting.push_back(job);
        say_depth(&state);
        drop(state);
        if !is_blocked {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Waits for commands that can be decided now and takes up to `most` of them, which may share SKUs. Until they are
    /// given back by [`Queue::done`] or [`Queue::put_back`], nobody else gets what touches theirs.
    pub(super) async fn next(&self, most: usize) -> Vec<Job> {
        loop {
            let woken = self.wake.notified();
            let taken = {
                let mut state = self.lock();
                let taken = state.take(most);
                say_depth(&state);
                if !taken.is_empty() && !state.waiting.is_empty() {
                    // What is left may be for another runner.
                    self.wake.notify_one();
                }
                taken
            };
            if !taken.is_empty() {
                return taken;
            }
            woken.await;
        }
    }

    /// Frees what these commands claimed.
    pub(super) fn done(&self, claims: impl IntoIterator<Item = Claim>) {
        let mut state = self.lock();
        for claim in claims {
            state.free(&claim);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Puts commands back to the front, in their order. `claims` is what they claimed when they were taken.
    pub(super) fn put_back(&self, jobs: Vec<Job>, claims: impl IntoIterator<Item = Claim>) {
        let mut state = self.lock();
        for job in jobs.into_iter().rev() {
            state.waiting.push_front(job);
        }
        drop(state);
        self.done(claims);
    }

    /// Refuses new commands and drops those that wait, whose callers hear that the lanes have stopped.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, most: usize) -> Vec<Job> {
        self.waiting.retain(|job| !job.is_abandoned());
        let mut taken: Vec<Job> = Vec::new();
        // What was passed over stays before what came later for the same SKUs.
        let mut passed: HashSet<Claim> = HashSet::new();
        let mut calls: HashSet<Claim> = HashSet::new();
        let mut place = 0;
        while taken.len() < most
            && let Some(job) = self.waiting.get(place)
        {
            let blocked = |claim: &Claim| {
                // A call and its repeat are not decided together: the second shall find the first.
                self.busy.contains_key(claim) || passed.contains(claim) || calls.contains(claim)
            };
            if job.claims().any(|claim| blocked(&claim)) {
                passed.extend(job.claims());
                place += 1;
                continue;
            }
            let Some(job) = self.waiting.remove(place) else {
                break;
            };
            calls.extend(
                job.claims()
                    .filter(|claim| matches!(claim, Claim::Call { .. })),
            );
            taken.push(job);
        }
        for claim in taken.iter().flat_map(Job::claims) {
            *self.busy.entry(claim).or_default() += 1;
        }
        taken
    }

    fn free(&mut self, claim: &Claim) {
        if let Some(count) = self.busy.get_mut(claim) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(claim);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
fn say_depth(state: &State) {
    gauge!(QUEUE_DEPTH).set(state.waiting.len() as f64);
}

#[cfg(test)]
mod tests {
    use oms_core::{Principal, Sku};
    use oms_postgres::idempotency::RequestKey;
    use tokio::sync::oneshot;
    use tokio::time::Instant;
    use tracing::Span;
    use uuid::Uuid;

    use crate::domain::command::Command;
    use crate::domain::effect::Outcome;
    use crate::lanes::Request;

    use super::*;

    type Answered = oneshot::Receiver<Result<Outcome, Error>>;

    fn job(skus: &[&str], call: Option<u128>) -> (Job, Answered) {
        let skus = skus.iter().map(|sku| sku.parse().unwrap());
        let (answer, answered) = oneshot::channel();
        let job = Job {
            request: Request {
                // Any command that names no reservation will do: the SKUs are given apart.
                command: Command::AllocateBackorders {
                    sku: "X".parse::<Sku>().unwrap(),
                },
                key: call.map(|id| RequestKey {
                    principal: "user:a".to_owned(),
                    method: "M",
                    request_id: Uuid::from_u128(id),
                    hash: [0; 32],
                    reason: String::new(),
                }),
                actor: "user:a".parse::<Principal>().unwrap(),
            },
            skus: skus.collect(),
            span: Span::none(),
            since: Instant::now(),
            lease_since: None,
            looked: 0,
            answer,
        };
        (job, answered)
    }

    fn names(jobs: &[Job]) -> Vec<String> {
        let name = |job: &Job| job.skus.iter().map(ToString::to_string).collect::<String>();
        jobs.iter().map(name).collect()
    }

    #[tokio::test]
    async fn commands_of_one_sku_go_together_and_of_a_busy_one_wait() {
        let queue = Queue::new(10);
        let mut answers = Vec::new();
        for skus in [&["A"][..], &["A", "B"], &["C"]] {
            let (job, answered) = job(skus, None);
            queue.push(job).unwrap();
            answers.push(answered);
        }
        let first = queue.next(2).await;
        assert_eq!(names(&first), ["A", "AB"]);
        for skus in [&["B"][..], &["D"]] {
            let (job, answered) = job(skus, None);
            queue.push(job).unwrap();
            answers.push(answered);
        }
        let second = queue.next(9).await;
        assert_eq!(names(&second), ["C", "D"]);
        queue.done(first.iter().flat_map(Job::claims));
        assert_eq!(names(&queue.next(9).await), ["B"]);
    }

    #[tokio::test]
    async fn nobody_overtakes_for_the_same_sku() {
        let queue = Queue::new(10);
        let (one, _one) = job(&["A"], None);
        queue.push(one).unwrap();
        let first = queue.next(1).await;
        let waiting: Vec<(Job, Answered)> = [&["A", "B"][..], &["B"], &["C"]]
            .into_iter()
            .map(|skus| job(skus, None))
            .collect();
        let (jobs, _answers): (Vec<Job>, Vec<Answered>) = waiting.into_iter().unzip();
        for job in jobs {
            queue.push(job).unwrap();
        }
        assert_eq!(
            names(&queue.next(9).await),
            ["C"],
            "B has to wait behind AB"
        );
        queue.done(first.iter().flat_map(Job::claims));
        assert_eq!(names(&queue.next(9).await), ["AB", "B"]);
    }

    #[tokio::test]
    async fn a_call_and_its_repeat_are_decided_apart() {
        let queue = Queue::new(10);
        let (one, _one) = job(&["A"], Some(1));
        let (repeat, _repeat) = job(&["A"], Some(1));
        queue.push(one).unwrap();
        queue.push(repeat).unwrap();
        let first = queue.next(9).await;
        assert_eq!(first.len(), 1);
        queue.done(first.iter().flat_map(Job::claims));
        assert_eq!(queue.next(9).await.len(), 1);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_abandoned_commands_make_room() {
        let queue = Queue::new(1);
        let (one, gone) = job(&["A"], None);
        queue.push(one).unwrap();
        let (two, _two) = job(&["B"], None);
        assert!(matches!(queue.push(two), Err(Error::Overloaded)));
        drop(gone);
        assert!(queue.lock().take(9).is_empty());
        let (three, _three) = job(&["C"], None);
        queue.push(three).unwrap();
        assert_eq!(names(&queue.next(9).await), ["C"]);
    }

    #[tokio::test]
    async fn closing_tells_those_who_wait() {
        let queue = Queue::new(1);
        let (one, answered) = job(&["A"], None);
        queue.push(one).unwrap();
        queue.close();
        assert!(answered.await.is_err());
        let (two, _two) = job(&["B"], None);
        assert!(matches!(queue.push(two), Err(Error::Stopped)));
    }
}
