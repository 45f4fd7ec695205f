//! Claims due tasks and runs their handlers, many at a time.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use metrics::{counter, histogram};
use oms_telemetry::{continue_or_link, mark_failed};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use super::lease::{self, Claim, Task};
use super::{Outcome, TaskError};
use crate::{Db, Error, jitter, names};

/// Longest error text kept in a row, in characters.
const ERROR_CHARS_MAX: usize = 2_000;

/// How a runner works.
#[derive(Debug, Clone)]
pub struct RunnerConfig {
    /// Handlers at a time.
    pub concurrency: usize,
    /// The guarantee: how often due tasks are looked for when nothing wakes the runner.
    pub poll: Duration,
    /// How long a claim lasts without renewal; running handlers are renewed three times as often.
    pub lease: Duration,
    /// Longest run of a handler. Then it is stopped, which counts as a failure, so that one that
    /// hangs cannot keep its place and its lease for ever.
    pub run_most: Duration,
    /// Wait after the first failure; doubles with each one.
    pub backoff_first: Duration,
    /// Longest wait between attempts.
    pub backoff_most: Duration,
    /// Failures in a row after which a task is stuck. With the waits above 120 are about an hour.
    pub failures_max: i32,
    /// How long running handlers may go on after shutdown began; then their tasks are given back.
    pub drain: Duration,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        Self {
            concurrency: 16,
            poll: Duration::from_millis(500),
            // What a process that died held is worked on again within a quarter of a minute.
            lease: Duration::from_secs(15),
            run_most: Duration::from_mins(5),
            backoff_first: Duration::from_millis(250),
            backoff_most: Duration::from_secs(30),
            failures_max: 120,
            drain: Duration::from_secs(20),
        }
    }
}

type Handler<A> =
    Arc<dyn Fn(Arc<A>, Task) -> BoxFuture<'static, Result<Outcome, TaskError>> + Send + Sync>;

/// Runs tasks. `A` is what handlers need: the service's app.
pub struct TaskRunner<A> {
    db: Db,
    app: Arc<A>,
    config: RunnerConfig,
    handlers: HashMap<&'static str, Handler<A>>,
    holder: Uuid,
}

impl<A> fmt::Debug for TaskRunner<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRunner")
            .field("kinds", &self.handlers.keys())
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

impl<A: Send + Sync + 'static> TaskRunner<A> {
    /// A runner without handlers. `holder` is any id that no other runner has, from the id source.
    pub fn new(db: Db, app: Arc<A>, holder: Uuid, config: RunnerConfig) -> Self {
        Self {
            db,
            app,
            config,
            handlers: HashMap::new(),
            holder,
        }
    }

    /// Names the handler of a kind. Tasks of kinds without one are left to other replicas, which may
    /// be newer.
    #[must_use]
    pub fn handle<F, Fut>(mut self, kind: &'static str, handler: F) -> Self
    where
        F: Fn(Arc<A>, Task) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Outcome, TaskError>> + Send + 'static,
    {
        self.handlers
            .insert(kind, Arc::new(move |app, task| handler(app, task).boxed()));
        self
    }

    /// Runs until the token is canceled and the handlers have ended or were stopped.
    pub fn spawn(self, cancel: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move { Arc::new(self).run(cancel).await })
    }

    /// Runs everything that is due now, one after the other, until nothing is; answers how many
    /// runs. For tests, which so need neither the loop nor its timing.
    pub async fn run_due(self: &Arc<Self>) -> Result<usize, Error> {
        let mut count = 0;
        loop {
            let Some(task) = self.claim(1, &[]).await?.pop() else {
                return Ok(count);
            };
            Arc::clone(self).run_task(task).await;
            count += 1;
        }
    }

    async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let mut wakes = self.db.task_wakes();
        let mut running = Running::default();
        let mut renewal = tokio::time::interval(self.config.lease / 3);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // More may be due than fitted into the last claim.
        let mut is_more = true;
        while !cancel.is_cancelled() {
            let free = self.config.concurrency.saturating_sub(running.tasks.len());
            if is_more && free > 0 {
                wakes.borrow_and_update();
                is_more = self.claim_into(&mut running, free).await;
            }
            let is_full = running.tasks.len() >= self.config.concurrency;
            tokio::select! {
                () = cancel.cancelled() => {}
                _ = wakes.changed(), if !is_full && !is_more => is_more = true,
                () = tokio::time::sleep(jitter::of(self.config.poll)), if !is_full && !is_more => {
                    is_more = true;
                }
                _ = renewal.tick() => self.renew(&running).await,
                Some(ended) = running.tasks.join_next() => running.note(ended.ok()),
            }
        }
        self.drain(running, &mut renewal).await;
    }

    /// Claims and starts; answers whether more may be due.
    async fn claim_into(self: &Arc<Self>, running: &mut Running, free: usize) -> bool {
        let at_work: Vec<Uuid> = running.leases.iter().map(|(id, _)| *id).collect();
        match self.claim(free, &at_work).await {
            Ok(tasks) => {
                let is_more = tasks.len() == free;
                for task in tasks {
                    running.start(Arc::clone(self), task);
                }
                is_more
            }
            Err(error) => {
                tracing::warn!(
                    error = %error,
                    cause = std::error::Error::source(&error).map(tracing::field::display),
                    "tasks could not be claimed"
                );
                false
            }
        }
    }

    async fn claim(&self, limit: usize, except: &[Uuid]) -> Result<Vec<Task>, Error> {
        let kinds: Vec<String> = self.handlers.keys().map(ToString::to_string).collect();
        let mut conn = self.db.acquire("claim_tasks").await?;
        let claim = Claim {
            holder: self.holder,
            kinds: &kinds,
            except,
            now: self.db.clock().now(),
            lease: self.config.lease,
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
        };
        lease::claim(&mut conn, &claim).await
    }

    async fn renew(&self, running: &Running) {
        if running.leases.is_empty() {
            return;
        }
        let leases: Vec<(Uuid, i32)> = running.leases.iter().copied().collect();
        let until = self.db.clock().now() + self.config.lease;
        let renewed = async {
            let mut conn = self.db.acquire("renew_tasks").await?;
            lease::renew(&mut conn, self.holder, &leases, until).await
        };
        if let Err(error) = renewed.await {
            tracing::warn!(error = %error, "leases could not be renewed");
        }
    }

    async fn drain(&self, mut running: Running, renewal: &mut tokio::time::Interval) {
        let deadline = tokio::time::Instant::now() + self.config.drain;
        loop {
            tokio::select! {
                ended = running.tasks.join_next() => match ended {
                    Some(ended) => running.note(ended.ok()),
                    None => return,
                },
                _ = renewal.tick() => self.renew(&running).await,
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        running.tasks.shutdown().await;
        let leases: Vec<(Uuid, i32)> = running.leases.iter().copied().collect();
        tracing::warn!(
            count = leases.len(),
            "handlers stopped at shutdown, tasks given back"
        );
        let now = self.db.clock().now();
        let released = async {
            let mut conn = self.db.acquire("release_tasks").await?;
            lease::release(&mut conn, self.holder, &leases, now).await
        };
        if let Err(error) = released.await {
            tracing::warn!(error = %error, "tasks come back when their leases end");
        }
    }

    /// Runs one task in a span that continues its cause, and writes its result.
    async fn run_task(self: Arc<Self>, task: Task) {
        let span = tracing::info_span!(
            "task",
            otel.name = format_args!("task.{}", task.kind),
            oms.task.id = %task.id,
            oms.task.key = task.key,
            oms.task.attempt = task.attempt,
            oms.order.id = tracing::field::Empty,
        );
        continue_or_link(&span, &task.trace, self.db.clock().now() - task.created_at);
        self.run_in_span(task).instrument(span).await;
    }

    async fn run_in_span(&self, task: Task) {
        let Some((kind, handler)) = self.handlers.get_key_value(task.kind.as_str()) else {
            return; // Only kinds with a handler are claimed.
        };
        let started = Instant::now();
        let result = if task.failures > self.config.failures_max {
            // Claimed that often without an answer: it ended the process each time.
            Err(TaskError::Stuck(
                "the process ended in every attempt".to_owned(),
            ))
        } else {
            self.run_handler(handler, task.clone()).await
        };
        let outcome = self.settle(kind, &task, result).await;
        histogram!(names::TASK_DURATION, "kind" => *kind, "outcome" => outcome)
            .record(started.elapsed());
    }

    async fn run_handler(&self, handler: &Handler<A>, task: Task) -> Result<Outcome, TaskError> {
        let run = AssertUnwindSafe(handler(Arc::clone(&self.app), task)).catch_unwind();
        match tokio::time::timeout(self.config.run_most, run).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(TaskError::Retry(panic_text(panic.as_ref()))),
            Err(_) => Err(TaskError::Retry("the handler took too long".to_owned())),
        }
    }

    /// Writes the result, and says in one word what became of the task.
    async fn settle(
        &self,
        kind: &'static str,
        task: &Task,
        result: Result<Outcome, TaskError>,
    ) -> &'static str {
        let outcome = match &result {
            Ok(Outcome::Done | Outcome::AlreadyFinished) => "done",
            Ok(Outcome::RetryAt(_)) => "postponed",
            Err(TaskError::LeaseLost) => "lease_lost",
            Err(TaskError::Retry(_)) if task.failures < self.config.failures_max => "retry",
            Err(TaskError::Retry(_) | TaskError::Stuck(_)) => "stuck",
        };
        if let Err(error) = &result {
            mark_failed(&tracing::Span::current(), error);
        }
        match self.write(task, outcome, &result).await {
            Ok(()) => {}
            Err(Error::LeaseLost) => {
                tracing::warn!(task.kind = kind, task.id = %task.id, "lease lost, result dropped");
                return "lease_lost";
            }
            Err(error) => {
                tracing::warn!(
                    task.kind = kind,
                    task.id = %task.id,
                    error = %error,
                    "result could not be written, the task runs again when its lease ends"
                );
                return "lost";
            }
        }
        log_failure(kind, task, outcome, &result);
        outcome
    }

    async fn write(
        &self,
        task: &Task,
        outcome: &str,
        result: &Result<Outcome, TaskError>,
    ) -> Result<(), Error> {
        let now = self.db.clock().now();
        let error = match result {
            Ok(Outcome::AlreadyFinished) | Err(TaskError::LeaseLost) => return Ok(()),
            Ok(Outcome::Done) => return task.finish(&mut *self.connection().await?).await,
            Ok(Outcome::RetryAt(until)) => {
                return task.postpone(&mut *self.connection().await?, *until).await;
            }
            Err(error) => shorten(&error.to_string()),
        };
        let mut conn = self.connection().await?;
        if outcome == "stuck" {
            return task.give_up(&mut conn, now, &error).await;
        }
        let failures = u32::try_from(task.failures).unwrap_or(1);
        let wait = jitter::backoff(
            self.config.backoff_first,
            self.config.backoff_most,
            failures,
        );
        task.fail(&mut conn, now + wait, &error).await
    }

    async fn connection(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>, Error> {
        self.db.acquire("settle_task").await
    }
}

/// Handlers at work, and the leases they hold.
#[derive(Default)]
struct Running {
    tasks: JoinSet<(Uuid, i32)>,
    leases: HashSet<(Uuid, i32)>,
}

impl Running {
    fn start<A: Send + Sync + 'static>(&mut self, runner: Arc<TaskRunner<A>>, task: Task) {
        let lease = (task.id, task.attempt);
        self.leases.insert(lease);
        self.tasks.spawn(async move {
            runner.run_task(task).await;
            lease
        });
    }

    fn note(&mut self, ended: Option<(Uuid, i32)>) {
        if let Some(lease) = ended {
            self.leases.remove(&lease);
        }
    }
}

fn log_failure(
    kind: &'static str,
    task: &Task,
    outcome: &str,
    result: &Result<Outcome, TaskError>,
) {
    let Err(error) = result else { return };
    if outcome == "stuck" {
        counter!(names::TASK_STUCK, "kind" => kind).increment(1);
        tracing::error!(
            task.kind = kind,
            task.id = %task.id,
            task.key = task.key,
            task.failures = task.failures,
            error = %error,
            "task is stuck"
        );
        return;
    }
    tracing::warn!(
        task.kind = kind,
        task.id = %task.id,
        task.key = task.key,
        task.failures = task.failures,
        error = %error,
        "task failed, it runs again"
    );
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("handler panicked: {}", text.unwrap_or("without a text"))
}

fn shorten(text: &str) -> String {
    text.chars().take(ERROR_CHARS_MAX).collect()
}
