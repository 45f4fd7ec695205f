use oms_postgres::audit::{self, Auditor, AuditorConfig, Entry, Filter, Kind, Listed};
use oms_postgres::idempotency::{self, RequestKey};
use oms_postgres::maintenance::{self, MaintenanceConfig};
use oms_postgres::{Error, outbox};
use oms_testkit::SeqIds;
use tokio::task::JoinSet;

use crate::support::Fixture;

fn key(number: u64) -> RequestKey {
    RequestKey {
        principal: "user:alice".to_owned(),
        method: "PlaceOrder",
        request_id: SeqIds::nth(number),
        hash: [1; 32],
        reason: "LATE".to_owned(),
    }
}

/// A call that makes version `version` of order `a`.
async fn call(fixture: &Fixture, number: u64, version: i64) -> Result<(), Error> {
    let (key, event) = (&key(number), &fixture.event("a", version));
    let run = fixture.db.run_tx("call", |tx| {
        Box::pin(async move {
            idempotency::record(tx, key, "a").await?;
            outbox::append(tx, event).await
        })
    });
    run.await
}

async fn log(fixture: &Fixture, filter: &Filter) -> Vec<Listed> {
    let mut conn = fixture.db.read().await.unwrap();
    let mut all = audit::list(&mut conn, filter, i64::MAX, 1_000)
        .await
        .unwrap();
    all.reverse();
    all
}

/// Every row follows from the one before, from where retention left the log, and the head is the last one.
async fn prove_chain(fixture: &Fixture) -> Vec<Entry> {
    let rows = log(fixture, &Filter::default()).await;
    let mut conn = fixture.db.read().await.unwrap();
    let head = audit::head(&mut conn).await.unwrap();
    let (mut seq, mut prev) = (head.first_seq - 1, head.first_prev_hash);
    for row in &rows {
        assert_eq!(row.entry.seq, seq + 1);
        assert_eq!(row.entry.hash(&prev), row.hash, "row {}", row.entry.seq);
        (seq, prev) = (row.entry.seq, row.hash);
    }
    assert_eq!((seq, prev), (head.seq, head.hash));
    rows.into_iter().map(|row| row.entry).collect()
}

#[tokio::test]
async fn calls_and_changes_are_chained_after_their_commit() {
    let fixture = Fixture::new().await;
    call(&fixture, 1, 1).await.unwrap();
    fixture.relay().drain().await.unwrap();
    assert_eq!(fixture.auditor().drain().await.unwrap(), 2);
    call(&fixture, 2, 2).await.unwrap();
    fixture.relay().drain().await.unwrap();
    assert_eq!(fixture.auditor().drain().await.unwrap(), 2);
    assert_eq!(fixture.auditor().drain().await.unwrap(), 0);

    let rows = prove_chain(&fixture).await;
    let calls: Vec<&Entry> = rows.iter().filter(|row| row.kind == Kind::Call).collect();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].principal, "user:alice");
    assert_eq!(
        (calls[0].method.as_str(), calls[0].reason.as_str()),
        ("PlaceOrder", "LATE")
    );
    assert_eq!(
        (calls[0].entry_id, calls[0].object_id.as_str()),
        (SeqIds::nth(1), "a")
    );

    let filter = Filter {
        object_type: "order".to_owned(),
        object_id: "a".to_owned(),
        ..Filter::default()
    };
    let changes = log(&fixture, &filter).await;
    let versions: Vec<i64> = changes.iter().map(|row| row.entry.object_version).collect();
    assert_eq!(versions, [1, 2]);
    assert_eq!(changes[0].before_hash, None);
    assert_eq!(changes[1].before_hash, Some(changes[0].entry.content_hash));
    assert_eq!(changes[0].entry.method, "OrderPlaced");
}

#[tokio::test]
async fn what_is_rolled_back_leaves_nothing() {
    let fixture = Fixture::new().await;
    let key = &key(1);
    let result: Result<(), Error> = fixture
        .db
        .run_tx("call", |tx| {
            Box::pin(async move {
                idempotency::record(tx, key, "a").await?;
                Err(Error::LeaseLost)
            })
        })
        .await;
    assert!(result.is_err());
    assert_eq!(fixture.auditor().drain().await.unwrap(), 0);
}

#[tokio::test]
async fn many_auditors_make_one_chain_in_which_nothing_is_missing_or_twice() {
    let fixture = Fixture::new().await;
    let mut work = JoinSet::new();
    for _ in 0..3 {
        let small = AuditorConfig {
            batch: 3,
            partition_size: 20,
            ..AuditorConfig::default()
        };
        let mut auditor = Auditor::new(fixture.another().await, small);
        work.spawn(async move {
            for _ in 0..40 {
                auditor.drain().await.unwrap();
            }
        });
    }
    for number in 1..=50 {
        call(&fixture, number, i64::try_from(number).unwrap())
            .await
            .unwrap();
        if number % 7 == 0 {
            fixture.relay().drain().await.unwrap();
        }
    }
    work.join_all().await;
    fixture.relay().drain().await.unwrap();
    fixture.auditor().drain().await.unwrap();
    let rows = prove_chain(&fixture).await;
    assert_eq!(rows.len(), 100);
    let mut ids: Vec<_> = rows.iter().map(|row| row.entry_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 100);
}

#[tokio::test]
async fn rows_cannot_be_changed_or_removed() {
    let fixture = Fixture::new().await;
    call(&fixture, 1, 1).await.unwrap();
    fixture.auditor().drain().await.unwrap();
    let mut conn = fixture.test_db.connect().await;
    for sql in [
        "update audit_log set principal = 'user:bob'",
        "delete from audit_log",
        "truncate audit_log",
        "update audit_log_1 set reason = ''",
        "delete from audit_log_1",
        "truncate audit_log_1",
    ] {
        let error = sqlx::query(sql).execute(&mut conn).await.unwrap_err();
        let error = error.into_database_error().unwrap();
        assert_eq!(error.message(), "audit_log is append-only", "{sql}");
    }
    assert_eq!(fixture.number("select count(*) from audit_log").await, 1);
}

#[tokio::test]
async fn retention_drops_whole_old_parts_and_the_rest_still_holds() {
    let fixture = Fixture::new().await;
    fixture
        .execute("drop table audit_log_1; create table audit_log_1 partition of audit_log for values from (1) to (11)")
        .await;
    for number in 1..=25 {
        call(&fixture, number, i64::try_from(number).unwrap())
            .await
            .unwrap();
    }
    let small = AuditorConfig {
        batch: 10,
        partition_size: 10,
        ..AuditorConfig::default()
    };
    Auditor::new(fixture.db.clone(), small)
        .drain()
        .await
        .unwrap();
    let mut conn = fixture.test_db.connect().await;
    let made = sqlx::query("truncate audit_log_11")
        .execute(&mut conn)
        .await;
    assert!(made.is_err(), "later parts refuse as the first one does");

    let keep = |days| MaintenanceConfig {
        audit_keep: Some(time::Duration::days(days)),
        ..MaintenanceConfig::default()
    };
    let removed = maintenance::run_once(&fixture.db, &MaintenanceConfig::default())
        .await
        .unwrap();
    assert_eq!(
        removed.audit_partitions, 0,
        "everything is kept unless told"
    );
    let removed = maintenance::run_once(&fixture.db, &keep(1)).await.unwrap();
    assert_eq!(removed.audit_partitions, 0, "nothing is a day old");
    let removed = maintenance::run_once(&fixture.db, &keep(-1)).await.unwrap();
    assert_eq!(
        removed.audit_partitions, 2,
        "the part that is being filled stays"
    );
    assert_eq!(prove_chain(&fixture).await.len(), 5);
    call(&fixture, 26, 26).await.unwrap();
    fixture.auditor().drain().await.unwrap();
    assert_eq!(prove_chain(&fixture).await.len(), 6);
}
