use oms_postgres::idempotency::{self, Found, RequestKey};
use oms_postgres::{Db, Error, batch};
use oms_telemetry::TraceContext;
use oms_testkit::SeqIds;
use tokio::task::JoinSet;

use crate::support::Fixture;

fn key(hash: u8) -> RequestKey {
    RequestKey {
        principal: "user:alice".to_owned(),
        method: "Deposit",
        request_id: SeqIds::nth(1),
        hash: [hash; 32],
        reason: "because".to_owned(),
    }
}

/// A command as services write it: answers the id of the row, whether it is new or a replay.
async fn deposit(db: &Db, key: &RequestKey, id: i64) -> Result<String, Error> {
    db.run_tx("deposit", |tx| {
        Box::pin(async move {
            if let Some(id) = idempotency::check(tx, key).await? {
                return Ok(id);
            }
            sqlx::query("insert into accounts (id, balance) values ($1, 1)")
                .bind(id)
                .execute(tx.conn())
                .await?;
            idempotency::record(tx, key, &id.to_string()).await?;
            Ok(id.to_string())
        })
    })
    .await
}

/// [`deposit`] of a command that knows its resource at once.
async fn deposit_into(db: &Db, key: &RequestKey, id: i64) -> Result<String, Error> {
    db.run_tx("deposit_into", |tx| {
        Box::pin(async move {
            if let Some(id) = idempotency::begin(tx, key, &id.to_string()).await? {
                return Ok(id);
            }
            sqlx::query("insert into accounts (id, balance) values ($1, 1)")
                .bind(id)
                .execute(tx.conn())
                .await?;
            Ok(id.to_string())
        })
    })
    .await
}

#[tokio::test]
async fn a_call_that_knows_its_resource_is_begun_and_recorded_at_once() {
    let fixture = Fixture::new().await;
    let db = &fixture.db;
    fixture
        .execute("insert into accounts (id, balance) values (6, 1)")
        .await;
    let failed = deposit_into(db, &key(1), 6).await.unwrap_err();
    assert_eq!(failed.constraint(), Some("accounts_pkey"));
    assert_eq!(
        fixture.number("select count(*) from audit_pending").await,
        0
    );
    assert_eq!(deposit_into(db, &key(1), 7).await.unwrap(), "7");
    assert_eq!(deposit_into(db, &key(1), 8).await.unwrap(), "7");
    let other = deposit_into(db, &key(2), 8).await;
    assert!(matches!(other, Err(Error::RequestIdReused)));
    assert_eq!(fixture.number("select count(*) from accounts").await, 2);
    let audited = "select count(*) from audit_pending where object_id = '7' and reason = 'because'";
    assert_eq!(fixture.number(audited).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_that_know_their_resource_have_one_effect() {
    let fixture = Fixture::new().await;
    let mut calls = JoinSet::new();
    for id in 0..16 {
        let db = fixture.db.clone();
        calls.spawn(async move { deposit_into(&db, &key(1), id).await.unwrap() });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|id| *id == answers[0]), "{answers:?}");
    assert_eq!(fixture.number("select count(*) from accounts").await, 1);
    assert_eq!(
        fixture.number("select count(*) from audit_pending").await,
        1
    );
}

#[tokio::test]
async fn a_replay_answers_the_first_result_and_does_nothing() {
    let fixture = Fixture::new().await;
    assert_eq!(deposit(&fixture.db, &key(1), 7).await.unwrap(), "7");
    assert_eq!(deposit(&fixture.db, &key(1), 8).await.unwrap(), "7");
    assert_eq!(fixture.number("select count(*) from accounts").await, 1);
}

#[tokio::test]
async fn another_body_is_refused() {
    let fixture = Fixture::new().await;
    deposit(&fixture.db, &key(1), 7).await.unwrap();
    let result = deposit(&fixture.db, &key(2), 8).await;
    assert!(matches!(result, Err(Error::RequestIdReused)));
}

#[tokio::test]
async fn another_caller_may_use_the_same_id() {
    let fixture = Fixture::new().await;
    deposit(&fixture.db, &key(1), 7).await.unwrap();
    let bob = RequestKey {
        principal: "user:bob".to_owned(),
        ..key(2)
    };
    assert_eq!(deposit(&fixture.db, &bob, 8).await.unwrap(), "8");
}

#[tokio::test]
async fn a_failed_call_is_not_recorded() {
    let fixture = Fixture::new().await;
    fixture
        .execute("insert into accounts (id, balance) values (7, 1)")
        .await;
    let error = deposit(&fixture.db, &key(1), 7).await.unwrap_err();
    assert_eq!(error.constraint(), Some("accounts_pkey"));
    assert_eq!(deposit(&fixture.db, &key(1), 8).await.unwrap(), "8");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_with_one_id_have_one_effect() {
    let fixture = Fixture::new().await;
    let mut calls = JoinSet::new();
    for id in 0..16 {
        let db = fixture.db.clone();
        calls.spawn(async move { deposit(&db, &key(1), id).await.unwrap() });
    }
    let mut answers = calls.join_all().await;
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(fixture.number("select count(*) from accounts").await, 1);
}

/// A command that compares a version, as an etag does. The repeat must not see that the first call
/// has moved it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrent_repeat_never_meets_the_effect_of_the_first_call() {
    let fixture = Fixture::new().await;
    fixture
        .execute("insert into accounts (id, balance) values (1, 0)")
        .await;
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let db = fixture.db.clone();
        calls.spawn(async move {
            let key = &key(1);
            db.run_tx("raise", |tx| {
                Box::pin(async move {
                    if idempotency::check(tx, key).await?.is_some() {
                        return Ok(());
                    }
                    let moved =
                        sqlx::query("update accounts set balance = 1 where id = 1 and balance = 0")
                            .execute(tx.conn())
                            .await?;
                    assert_eq!(moved.rows_affected(), 1, "the version has moved");
                    idempotency::record(tx, key, "1").await
                })
            })
            .await
            .unwrap();
        });
    }
    calls.join_all().await;
}

#[tokio::test]
async fn looking_a_call_up_begins_nothing() {
    let fixture = Fixture::new().await;
    let mut conn = fixture.db.read().await.unwrap();
    assert_eq!(idempotency::find(&mut conn, &key(1)).await.unwrap(), None);
    deposit(&fixture.db, &key(1), 7).await.unwrap();
    let found = idempotency::find(&mut conn, &key(1)).await.unwrap();
    assert_eq!(found.as_deref(), Some("7"));
    let other = idempotency::find(&mut conn, &key(2)).await;
    assert!(matches!(other, Err(Error::RequestIdReused)));
    assert_eq!(fixture.number("select count(*) from idempotency").await, 1);
}

/// Two calls that forgot to check first still have one effect.
#[tokio::test]
async fn recording_what_another_call_recorded_is_a_conflict() {
    let fixture = Fixture::new().await;
    deposit(&fixture.db, &key(1), 7).await.unwrap();
    let mut conn = fixture.db.read().await.unwrap();
    let late = idempotency::record(&mut conn, &key(1), "8").await;
    assert!(matches!(late, Err(Error::Transient { .. })));
}

/// A call that decided to do nothing and committed is no success.
#[tokio::test]
async fn a_call_that_was_not_recorded_runs_again() {
    let fixture = Fixture::new().await;
    let begin = || async {
        let key = &key(1);
        fixture
            .db
            .run_tx("begin", |tx| {
                Box::pin(async move { idempotency::check(tx, key).await })
            })
            .await
    };
    for _ in 0..2 {
        assert_eq!(begin().await.unwrap(), None);
    }
    assert_eq!(deposit(&fixture.db, &key(1), 7).await.unwrap(), "7");
}

#[tokio::test]
async fn many_calls_are_found_and_recorded_together() {
    let fixture = Fixture::new().await;
    deposit(&fixture.db, &key(1), 7).await.unwrap();
    let other = RequestKey {
        request_id: SeqIds::nth(2),
        ..key(1)
    };
    let record = |key: &RequestKey| {
        let (db, key) = (fixture.db.clone(), key.clone());
        let cause = TraceContext::default();
        async move {
            db.run_tx("deposit_all", |tx| {
                let (key, cause) = (&key, &cause);
                Box::pin(async move {
                    let resource_id = "8".to_owned();
                    let call = batch::Call {
                        key,
                        resource_id,
                        cause,
                    };
                    batch::leave(tx, &[], &[], &[call]).await
                })
            })
            .await
        }
    };
    record(&other).await.unwrap();
    let mut conn = fixture.db.read().await.unwrap();
    let unknown = RequestKey {
        request_id: SeqIds::nth(3),
        ..key(1)
    };
    let keys = [&unknown, &other, &key(2), &key(1)];
    let found = idempotency::find_all(&mut conn, &keys).await.unwrap();
    let success = |id: &str| Found::Success(id.to_owned());
    assert_eq!(
        found,
        [Found::Nothing, success("8"), Found::OtherBody, success("7")]
    );
    // Somebody else succeeded meanwhile: the caller has to look again.
    let lost = record(&key(1)).await;
    assert!(matches!(lost, Err(Error::Transient { .. })), "{lost:?}");
}
