use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oms_core::Clock;
use oms_postgres::{Error, Outcome, RunnerConfig, Task, TaskError, TaskRunner, tasks};
use oms_testkit::SeqIds;
use tokio::sync::Mutex;

use crate::support::Fixture;

const KIND: &str = "capture_payment";

type Script = Mutex<Vec<Result<Outcome, TaskError>>>;

/// Answers what the script says, then `Done`.
async fn scripted(script: Arc<Script>, _task: Task) -> Result<Outcome, TaskError> {
    let mut script = script.lock().await;
    if script.is_empty() {
        Ok(Outcome::Done)
    } else {
        script.remove(0)
    }
}

fn runner(fixture: &Fixture, script: Vec<Result<Outcome, TaskError>>) -> Arc<TaskRunner<Script>> {
    let config = RunnerConfig {
        failures_max: 3,
        ..RunnerConfig::default()
    };
    let app = Arc::new(Mutex::new(script));
    let runner = TaskRunner::new(fixture.db.clone(), app, SeqIds::nth(900), config);
    Arc::new(runner.handle(KIND, scripted))
}

/// Runs what is due, lets the longest backoff pass, and again; answers the number of runs.
async fn run_rounds(fixture: &Fixture, runner: &Arc<TaskRunner<Script>>, rounds: usize) -> usize {
    let mut runs = 0;
    for _ in 0..rounds {
        runs += runner.run_due().await.unwrap();
        fixture.clock.advance(Duration::from_secs(30));
    }
    runs
}

fn retry(text: &str) -> Result<Outcome, TaskError> {
    Err(TaskError::Retry(text.to_owned()))
}

#[tokio::test]
async fn the_same_id_is_one_task_also_when_it_is_done() {
    let fixture = Fixture::new().await;
    assert!(fixture.insert_task(fixture.task(1, KIND)).await);
    assert!(!fixture.insert_task(fixture.task(1, KIND)).await);
    let runner = runner(&fixture, vec![]);
    assert_eq!(run_rounds(&fixture, &runner, 2).await, 1);
    assert!(!fixture.insert_task(fixture.task(1, KIND)).await);
    assert_eq!(run_rounds(&fixture, &runner, 2).await, 0);
}

#[tokio::test]
async fn a_task_waits_for_its_time() {
    let fixture = Fixture::new().await;
    let mut task = fixture.task(1, KIND);
    task.run_at += Duration::from_secs(90);
    fixture.insert_task(task).await;
    let runner = runner(&fixture, vec![]);
    assert_eq!(run_rounds(&fixture, &runner, 3).await, 0);
    assert_eq!(run_rounds(&fixture, &runner, 1).await, 1);
}

#[tokio::test]
async fn a_failure_is_tried_again_after_a_wait() {
    let fixture = Fixture::new().await;
    fixture.insert_task(fixture.task(1, KIND)).await;
    let runner = runner(&fixture, vec![retry("peer is down"), retry("peer is down")]);
    assert_eq!(runner.run_due().await.unwrap(), 1, "not again at once");
    assert_eq!(runner.run_due().await.unwrap(), 0);
    fixture.clock.advance(Duration::from_secs(30));
    assert_eq!(run_rounds(&fixture, &runner, 3).await, 2);
    assert_eq!(
        fixture
            .number("select attempt::bigint from tasks where state = 'DONE'")
            .await,
        3
    );
}

#[tokio::test]
async fn after_the_last_failure_a_person_decides() {
    let fixture = Fixture::new().await;
    fixture.insert_task(fixture.task(1, KIND)).await;
    let failing = vec![retry("one"), retry("two"), retry("three")];
    let runner = runner(&fixture, failing);
    assert_eq!(run_rounds(&fixture, &runner, 9).await, 3);

    let mut conn = fixture.db.read().await.unwrap();
    let stuck = tasks::stuck(&mut conn, None, 10).await.unwrap();
    assert_eq!(stuck.len(), 1);
    assert_eq!(stuck[0].last_error.as_deref(), Some("three"));
    assert_eq!((stuck[0].kind.as_str(), stuck[0].attempt), (KIND, 3));
    assert!(
        tasks::stuck(&mut conn, Some(stuck[0].id), 10)
            .await
            .unwrap()
            .is_empty()
    );

    assert!(tasks::retry(&mut conn, stuck[0].id).await.unwrap());
    assert!(
        !tasks::retry(&mut conn, stuck[0].id).await.unwrap(),
        "not stuck any more"
    );
    assert_eq!(run_rounds(&fixture, &runner, 1).await, 1);
    assert_eq!(
        fixture
            .number("select count(*) from tasks where state = 'DONE'")
            .await,
        1
    );
}

#[tokio::test]
async fn stuck_is_stuck_at_once_and_can_be_skipped() {
    let fixture = Fixture::new().await;
    fixture.insert_task(fixture.task(1, KIND)).await;
    let runner = runner(
        &fixture,
        vec![Err(TaskError::Stuck("unknown order".to_owned()))],
    );
    assert_eq!(run_rounds(&fixture, &runner, 2).await, 1);
    let mut conn = fixture.db.read().await.unwrap();
    assert!(tasks::skip(&mut conn, SeqIds::nth(1)).await.unwrap());
    assert!(tasks::stuck(&mut conn, None, 10).await.unwrap().is_empty());
    assert_eq!(run_rounds(&fixture, &runner, 2).await, 0);
}

#[tokio::test]
async fn postponing_is_no_failure() {
    let fixture = Fixture::new().await;
    fixture.insert_task(fixture.task(1, KIND)).await;
    let later = fixture.clock.now() + Duration::from_secs(45);
    let script = vec![
        retry("one"),
        retry("two"),
        Ok(Outcome::RetryAt(later)),
        retry("one"),
        retry("two"),
    ];
    let runner = runner(&fixture, script);
    assert_eq!(run_rounds(&fixture, &runner, 12).await, 6);
    assert_eq!(
        fixture
            .number("select count(*) from tasks where state = 'DONE'")
            .await,
        1
    );
}

async fn panics(_app: Arc<()>, _task: Task) -> Result<Outcome, TaskError> {
    panic!("index out of bounds");
}

#[tokio::test]
async fn a_panic_counts_as_a_failure() {
    let fixture = Fixture::new().await;
    fixture.insert_task(fixture.task(1, KIND)).await;
    let config = RunnerConfig {
        failures_max: 1,
        ..RunnerConfig::default()
    };
    let runner = TaskRunner::new(fixture.db.clone(), Arc::new(()), SeqIds::nth(900), config);
    let runner = Arc::new(runner.handle(KIND, panics));
    assert_eq!(runner.run_due().await.unwrap(), 1);
    let mut conn = fixture.db.read().await.unwrap();
    let stuck = tasks::stuck(&mut conn, None, 10).await.unwrap();
    assert_eq!(
        stuck[0].last_error.as_deref(),
        Some("handler panicked: index out of bounds")
    );
}

#[tokio::test]
async fn tasks_of_unknown_kinds_are_left_alone() {
    let fixture = Fixture::new().await;
    fixture
        .insert_task(fixture.task(1, "kind_of_a_newer_release"))
        .await;
    let runner = runner(&fixture, vec![]);
    assert_eq!(run_rounds(&fixture, &runner, 2).await, 0);
    assert_eq!(
        fixture
            .number("select count(*) from tasks where attempt = 0")
            .await,
        1
    );
}

/// The app of [`outruns_its_lease`].
struct Slow {
    fixture: Fixture,
    successor: Arc<TaskRunner<Script>>,
    dropped: AtomicUsize,
}

/// Works longer than its lease; meanwhile another runner takes the task and finishes it. Then tries
/// to commit its own result.
async fn outruns_its_lease(app: Arc<Slow>, task: Task) -> Result<Outcome, TaskError> {
    app.fixture.clock.advance(Duration::from_mins(2));
    assert_eq!(app.successor.run_due().await.unwrap(), 1);
    let result = app
        .fixture
        .db
        .run_tx("late_result", |tx| {
            let task = &task;
            Box::pin(async move {
                sqlx::query("insert into accounts (id, balance) values (1, 1)")
                    .execute(tx.conn())
                    .await?;
                task.finish(tx).await
            })
        })
        .await;
    if matches!(result, Err(Error::LeaseLost)) {
        app.dropped.fetch_add(1, Ordering::Relaxed);
    }
    // What the handler answers after that must not matter either.
    Err(TaskError::Retry("late".to_owned()))
}

#[tokio::test]
async fn a_result_after_the_lease_is_dropped() {
    let fixture = Fixture::new().await;
    fixture.insert_task(fixture.task(1, KIND)).await;
    let successor = runner(&fixture, vec![]);
    let db = fixture.db.clone();
    let app = Arc::new(Slow {
        fixture,
        successor,
        dropped: AtomicUsize::new(0),
    });
    let config = RunnerConfig::default();
    let late = TaskRunner::new(db, Arc::clone(&app), SeqIds::nth(901), config);
    let late = Arc::new(late.handle(KIND, outruns_its_lease));
    assert_eq!(late.run_due().await.unwrap(), 1);

    assert_eq!(app.dropped.load(Ordering::Relaxed), 1);
    assert_eq!(app.fixture.number("select count(*) from accounts").await, 0);
    assert_eq!(
        app.fixture
            .number("select count(*) from tasks where state = 'DONE' and attempt = 2 and last_error is null")
            .await,
        1
    );
}

/// The app of [`loses_its_lease`]: how the lease gets lost, and what the handler answers then.
struct Loser {
    fixture: Fixture,
    how: &'static str,
    answer: Result<Outcome, TaskError>,
}

async fn loses_its_lease(app: Arc<Loser>, task: Task) -> Result<Outcome, TaskError> {
    app.fixture.execute(app.how).await;
    let mut conn = app.fixture.db.read().await?;
    let finished = task.finish(&mut conn).await;
    assert!(matches!(finished, Err(Error::LeaseLost)));
    app.answer.clone()
}

/// The successor is still at work, so only holder and attempt tell the two apart.
#[tokio::test]
async fn no_answer_of_the_loser_touches_the_task_of_its_successor() {
    let later = Fixture::new().await.clock.now();
    for how in [
        "update tasks set attempt = attempt + 1",
        "update tasks set lease_holder = '00000000-0000-7000-8000-000000000777'",
    ] {
        let answers = [
            Ok(Outcome::Done),
            Ok(Outcome::RetryAt(later)),
            retry("late"),
            Err(TaskError::Stuck("late".to_owned())),
            Err(TaskError::LeaseLost),
        ];
        for answer in answers {
            let fixture = Fixture::new().await;
            fixture.insert_task(fixture.task(1, KIND)).await;
            let db = fixture.db.clone();
            let what = format!("{answer:?} after {how}");
            let app = Arc::new(Loser {
                fixture,
                how,
                answer,
            });
            let holder = SeqIds::nth(901);
            let runner = TaskRunner::new(db, Arc::clone(&app), holder, RunnerConfig::default());
            let runner = Arc::new(runner.handle(KIND, loses_its_lease));
            assert_eq!(runner.run_due().await.unwrap(), 1);
            let untouched = "select count(*) from tasks where state = 'READY' and failures = 1
                and lease_holder is not null and last_error is null";
            assert_eq!(app.fixture.number(untouched).await, 1, "{what}");
        }
    }
}

#[tokio::test]
async fn a_process_that_died_gives_its_task_back_when_the_lease_ends() {
    let fixture = Fixture::new().await;
    fixture.insert_task(fixture.task(1, KIND)).await;
    fixture
        .execute(
            "update tasks set attempt = 1, failures = 1, run_at = run_at + interval '60 seconds',
                    lease_holder = gen_random_uuid()",
        )
        .await;
    let runner = runner(&fixture, vec![]);
    assert_eq!(runner.run_due().await.unwrap(), 0, "still leased");
    fixture.clock.advance(Duration::from_mins(1));
    assert_eq!(runner.run_due().await.unwrap(), 1);
}

#[tokio::test]
async fn a_task_that_ends_the_process_each_time_gets_stuck() {
    let fixture = Fixture::new().await;
    fixture.insert_task(fixture.task(1, KIND)).await;
    fixture
        .execute("update tasks set attempt = 3, failures = 3")
        .await;
    let runner = runner(&fixture, vec![]);
    assert_eq!(run_rounds(&fixture, &runner, 2).await, 1);
    assert_eq!(
        fixture
            .number("select count(*) from tasks where state = 'STUCK'")
            .await,
        1
    );
}
