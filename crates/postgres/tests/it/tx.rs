use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::FutureExt;
use oms_postgres::{Error, ErrorKind, tasks};
use sqlx::PgConnection;
use tokio::sync::Barrier;

use crate::support::{Fixture, ServiceError};

async fn add(conn: &mut PgConnection, id: i64, amount: i64) -> Result<(), Error> {
    sqlx::query("update accounts set balance = balance + $2 where id = $1")
        .bind(id)
        .bind(amount)
        .execute(conn)
        .await?;
    Ok(())
}

async fn accounts(fixture: &Fixture) {
    fixture
        .execute("insert into accounts (id, balance) values (1, 10), (2, 10)")
        .await;
}

#[tokio::test]
async fn the_body_borrows_and_commits() {
    let fixture = Fixture::new().await;
    accounts(&fixture).await;
    let amounts = vec![1, 2, 3];
    let total = fixture
        .db
        .run_tx("add", |tx| {
            let amounts = &amounts;
            Box::pin(async move {
                for amount in amounts {
                    add(tx, 1, *amount).await?;
                }
                Ok::<_, Error>(amounts.iter().sum::<i64>())
            })
        })
        .await
        .unwrap();
    assert_eq!(total, 6);
    assert_eq!(
        fixture
            .number("select balance from accounts where id = 1")
            .await,
        16
    );
}

#[tokio::test]
async fn an_error_rolls_back_and_names_the_constraint() {
    let fixture = Fixture::new().await;
    accounts(&fixture).await;
    let result = fixture
        .db
        .run_tx("take", |tx| {
            Box::pin(async move {
                add(tx, 2, 5).await?;
                add(tx, 1, -11).await?;
                Ok::<_, ServiceError>(())
            })
        })
        .await;
    assert_eq!(result, Err(ServiceError::NotEnough));
    assert_eq!(
        fixture
            .number("select balance from accounts where id = 2")
            .await,
        10
    );
}

#[tokio::test]
async fn a_swallowed_failure_never_passes_for_a_commit() {
    let fixture = Fixture::new().await;
    accounts(&fixture).await;
    let result = fixture
        .db
        .run_tx("swallow", |tx| {
            Box::pin(async move {
                add(tx, 2, 5).await?;
                let _ = add(tx, 1, -11).await;
                Ok::<_, Error>(())
            })
        })
        .await;
    assert_eq!(result.unwrap_err().code().as_deref(), Some("25P02"));
    assert_eq!(
        fixture
            .number("select balance from accounts where id = 2")
            .await,
        10
    );
}

/// Two transactions take two rows in opposite order. The error type keeps nothing of the cause, and
/// still the victim runs again.
#[tokio::test]
async fn a_deadlock_is_retried() {
    let fixture = Fixture::new().await;
    accounts(&fixture).await;
    let both_hold_one = Arc::new(Barrier::new(2));
    let runs = Arc::new(AtomicU32::new(0));
    let transfer = |from: i64, to: i64| {
        let (db, barrier, runs) = (
            fixture.db.clone(),
            Arc::clone(&both_hold_one),
            Arc::clone(&runs),
        );
        async move {
            let mut is_first = true;
            db.run_tx("transfer", |tx| {
                let meet = is_first.then(|| Arc::clone(&barrier));
                is_first = false;
                runs.fetch_add(1, Ordering::Relaxed);
                Box::pin(async move {
                    add(tx, from, -1).await?;
                    if let Some(barrier) = meet {
                        barrier.wait().await;
                    }
                    add(tx, to, 1).await?;
                    Ok::<_, ServiceError>(())
                })
            })
            .await
        }
    };
    let (there, back) = tokio::join!(transfer(1, 2), transfer(2, 1));
    assert_eq!((there, back), (Ok(()), Ok(())));
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    assert_eq!(
        fixture
            .number("select sum(balance)::bigint from accounts")
            .await,
        20
    );
}

#[tokio::test]
async fn a_serialization_failure_is_retried() {
    let fixture = Fixture::new().await;
    accounts(&fixture).await;
    let mut runs = 0;
    fixture
        .db
        .run_tx("read_then_write", |tx| {
            runs += 1;
            let (fixture, is_first) = (&fixture, runs == 1);
            Box::pin(async move {
                sqlx::raw_sql(
                    "set transaction isolation level repeatable read; select * from accounts",
                )
                .execute(tx.conn())
                .await
                .map_err(Error::from)?;
                if is_first {
                    fixture
                        .execute("update accounts set balance = balance + 1 where id = 1")
                        .await;
                }
                add(tx, 1, 1).await
            })
        })
        .await
        .unwrap();
    assert_eq!(runs, 2);
    assert_eq!(
        fixture
            .number("select balance from accounts where id = 1")
            .await,
        12
    );
}

#[tokio::test]
async fn tasks_wake_runners_only_after_commit() {
    let fixture = Fixture::new().await;
    let wakes = fixture.db.task_wakes();
    let task = fixture.task(1, "capture_payment");
    let failed: Result<(), Error> = fixture
        .db
        .run_tx("insert_and_fail", |tx| {
            let (task, wakes) = (&task, &wakes);
            Box::pin(async move {
                tasks::insert(tx, task).await?;
                assert!(!wakes.has_changed().unwrap());
                Err(Error::LeaseLost)
            })
        })
        .await;
    assert!(failed.is_err());
    assert!(
        !wakes.has_changed().unwrap(),
        "rolled back, nothing to wake for"
    );
    fixture.insert_task(task.clone()).await;
    assert!(wakes.has_changed().unwrap());
    let after_first = fixture.db.task_wakes();
    fixture.insert_task(task).await;
    assert!(!after_first.has_changed().unwrap(), "nothing was inserted");
}

#[tokio::test]
async fn after_commit_runs_only_then() {
    let fixture = Fixture::new().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    for is_kept in [false, true] {
        let tell = tell.clone();
        let _ = fixture
            .db
            .run_tx("tell", |tx| {
                let tell = tell.clone();
                tx.after_commit(move || tell.send(is_kept).unwrap());
                Box::pin(async move {
                    if is_kept {
                        Ok(())
                    } else {
                        Err(Error::LeaseLost)
                    }
                })
            })
            .await;
    }
    drop(tell);
    assert_eq!((told.recv().await, told.recv().await), (Some(true), None));
}

#[tokio::test]
async fn a_snapshot_sees_one_moment_and_writes_nothing() {
    let fixture = Fixture::new().await;
    let count = "select count(*) from accounts";
    let mut snapshot = fixture.db.snapshot().await.unwrap();
    let before: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut *snapshot)
        .await
        .unwrap();
    fixture
        .execute("insert into accounts (id, balance) values (77, 1)")
        .await;
    let still: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut *snapshot)
        .await
        .unwrap();
    assert_eq!(still, before);
    let refused = sqlx::query("delete from accounts")
        .execute(&mut *snapshot)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("read-only"), "{refused}");
    drop(snapshot);
    let mut after = fixture.db.snapshot().await.unwrap();
    let after: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut *after)
        .await
        .unwrap();
    assert_eq!(after, before + 1);
}

#[tokio::test]
async fn who_gives_up_while_it_begins_leaves_a_clean_connection() {
    let fixture = Fixture::new().await;
    accounts(&fixture).await;
    for _ in 0..20 {
        // Polled once: BEGIN is on its way, and nobody waits for it any more.
        assert!(fixture.db.snapshot().now_or_never().is_none());
        fixture
            .db
            .run_tx("after_giving_up", |tx| {
                Box::pin(async move { add(tx, 1, 1).await })
            })
            .await
            .unwrap();
    }
    let balance = "select balance from accounts where id = 1";
    assert_eq!(fixture.number(balance).await, 30);
}

#[tokio::test]
async fn a_connection_inside_of_a_transaction_is_refused() {
    let fixture = Fixture::new().await;
    let db = &fixture.db;
    let result: Result<(), Error> = db
        .run_tx("outer", |_| {
            Box::pin(async move { db.read().await.map(|_| ()) })
        })
        .await;
    assert!(matches!(result, Err(Error::Nested)));
}

#[tokio::test]
async fn a_dead_idle_connection_is_replaced_without_an_error() {
    let fixture = Fixture::new().await;
    fixture.db.pulse().feel().await.unwrap();
    fixture
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()",
        )
        .await;
    fixture
        .db
        .run_tx("after_restart", |tx| {
            Box::pin(async move { add(tx, 1, 1).await })
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_lock_that_is_not_given_in_time_is_unavailable_and_shows_no_sql() {
    let fixture = Fixture::new().await;
    accounts(&fixture).await;
    let mut holder = fixture.test_db.connect().await;
    sqlx::raw_sql("begin; update accounts set balance = 0 where id = 1")
        .execute(&mut holder)
        .await
        .unwrap();
    let error = fixture
        .db
        .run_tx("wait", |tx| {
            Box::pin(async move {
                sqlx::raw_sql("set local lock_timeout = '20ms'")
                    .execute(tx.conn())
                    .await
                    .map_err(Error::from)?;
                add(tx, 1, 1).await
            })
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.to_string(), "the database is not available");
}
