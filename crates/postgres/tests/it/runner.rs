//! The loop of the runner: wake-ups, concurrency, renewal, drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oms_core::Clock;
use oms_postgres::{NewTask, Outcome, RunnerConfig, Task, TaskError, TaskRunner, tasks};
use oms_testkit::SeqIds;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::support::Fixture;

const KIND: &str = "capture_payment";

/// Handlers tell that they began and wait to be let go.
struct Gate {
    began: mpsc::UnboundedSender<Task>,
    go: Semaphore,
    at_work: AtomicUsize,
    at_work_most: AtomicUsize,
}

impl Gate {
    fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Task>) {
        let (began, tasks) = mpsc::unbounded_channel();
        let gate = Self {
            began,
            go: Semaphore::new(0),
            at_work: AtomicUsize::new(0),
            at_work_most: AtomicUsize::new(0),
        };
        (Arc::new(gate), tasks)
    }
}

async fn gated(gate: Arc<Gate>, task: Task) -> Result<Outcome, TaskError> {
    let now = gate.at_work.fetch_add(1, Ordering::SeqCst) + 1;
    gate.at_work_most.fetch_max(now, Ordering::SeqCst);
    gate.began.send(task).unwrap();
    gate.go.acquire().await.unwrap().forget();
    gate.at_work.fetch_sub(1, Ordering::SeqCst);
    Ok(Outcome::Done)
}

/// Polls so seldom that only wake-ups can make it work.
fn config() -> RunnerConfig {
    RunnerConfig {
        concurrency: 4,
        poll: Duration::from_hours(24),
        ..RunnerConfig::default()
    }
}

fn spawn(
    fixture: &Fixture,
    gate: &Arc<Gate>,
    config: RunnerConfig,
    cancel: &CancellationToken,
) -> tokio::task::JoinHandle<()> {
    TaskRunner::new(
        fixture.db.clone(),
        Arc::clone(gate),
        SeqIds::nth(900),
        config,
    )
    .handle(KIND, gated)
    .spawn(cancel.clone())
}

async fn insert_many(fixture: &Fixture, count: u64) {
    let many: Vec<NewTask> = (1..=count)
        .map(|number| fixture.task(number, KIND))
        .collect();
    let inserted = fixture
        .db
        .run_tx("insert_many", |tx| {
            let many = &many;
            Box::pin(async move { tasks::insert_all(tx, many).await })
        })
        .await
        .unwrap();
    assert_eq!(inserted, count);
}

#[tokio::test]
async fn all_tasks_run_once_and_never_too_many_at_a_time() {
    let fixture = Fixture::new().await;
    let (gate, mut began) = Gate::new();
    let cancel = CancellationToken::new();
    let runner = spawn(&fixture, &gate, config(), &cancel);
    insert_many(&fixture, 50).await;
    let mut ids = Vec::new();
    for _ in 0..50 {
        let task = began.recv().await.unwrap();
        assert_eq!((task.attempt, task.actor.as_str()), (1, "user:alice"));
        assert_eq!(task.payload, [1, 2, 3]);
        ids.push(task.id);
        gate.go.add_permits(1);
    }
    cancel.cancel();
    runner.await.unwrap();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 50);
    assert_eq!(gate.at_work_most.load(Ordering::SeqCst), 4);
    assert_eq!(
        fixture
            .number("select count(*) from tasks where state = 'DONE'")
            .await,
        50
    );
}

#[tokio::test]
async fn shutdown_lets_handlers_end_and_claims_nothing_new() {
    let fixture = Fixture::new().await;
    let (gate, mut began) = Gate::new();
    let cancel = CancellationToken::new();
    let runner = spawn(&fixture, &gate, config(), &cancel);
    insert_many(&fixture, 6).await;
    for _ in 0..4 {
        began.recv().await.unwrap();
    }
    cancel.cancel();
    gate.go.add_permits(100);
    runner.await.unwrap();
    assert_eq!(
        fixture
            .number("select count(*) from tasks where state = 'DONE'")
            .await,
        4
    );
    assert_eq!(
        fixture
            .number("select count(*) from tasks where attempt = 0")
            .await,
        2
    );
}

#[tokio::test]
async fn handlers_that_do_not_end_at_shutdown_give_their_tasks_back() {
    let fixture = Fixture::new().await;
    let (gate, mut began) = Gate::new();
    let cancel = CancellationToken::new();
    let config = RunnerConfig {
        drain: Duration::from_millis(1),
        ..config()
    };
    let runner = spawn(&fixture, &gate, config, &cancel);
    insert_many(&fixture, 1).await;
    began.recv().await.unwrap();
    cancel.cancel();
    runner.await.unwrap();
    assert_eq!(
        fixture
            .number("select count(*) from tasks where state = 'READY' and lease_holder is null and failures = 0")
            .await,
        1
    );
}

/// The clock passes the end of the lease while the handler works. Nobody runs the task a second
/// time: this runner does not claim what it works on, and it renews.
#[tokio::test]
async fn a_working_handler_keeps_its_lease() {
    let fixture = Fixture::new().await;
    let (gate, mut began) = Gate::new();
    let cancel = CancellationToken::new();
    let lease = Duration::from_millis(30);
    let runner = spawn(&fixture, &gate, RunnerConfig { lease, ..config() }, &cancel);
    insert_many(&fixture, 1).await;
    began.recv().await.unwrap();
    fixture.clock.advance(lease);
    fixture.db.wake_tasks();
    oms_testkit::wait_for("the lease to be renewed", || async {
        let ahead = fixture
            .number("select (extract(epoch from run_at) * 1000000)::bigint from tasks")
            .await;
        let now = fixture.clock.now().unix_timestamp_nanos() / 1_000;
        if i128::from(ahead) > now {
            Ok(())
        } else {
            Err(format!("{ahead} <= {now}"))
        }
    })
    .await;
    gate.go.add_permits(1);
    cancel.cancel();
    runner.await.unwrap();
    let done_at_once = "select count(*) from tasks where state = 'DONE' and attempt = 1";
    assert_eq!(fixture.number(done_at_once).await, 1);
}

#[tokio::test]
async fn a_handler_that_hangs_is_stopped() {
    let fixture = Fixture::new().await;
    let (gate, mut began) = Gate::new();
    let cancel = CancellationToken::new();
    let run_most = Duration::from_millis(5);
    let config = RunnerConfig {
        run_most,
        failures_max: 1,
        ..config()
    };
    let runner = spawn(&fixture, &gate, config, &cancel);
    insert_many(&fixture, 1).await;
    began.recv().await.unwrap();
    cancel.cancel();
    runner.await.unwrap();
    let stuck = "select count(*) from tasks where state = 'STUCK' and last_error like '%too long'";
    assert_eq!(fixture.number(stuck).await, 1);
}
