//! The feed under everything that may go wrong at once: commits that come late and out of order, writers that give up, two
//! relays, relays that die in the middle of a batch, and a subscriber that reads all the while.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use oms_postgres::Db;
use oms_postgres::feed::{self, FeedEvent, Filter, Head};
use oms_postgres::outbox;
use oms_postgres::relay::{self, RelayConfig};
use oms_testkit::{SeqIds, wait_for};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Fixture, ServiceError};

/// Writers that keep their transactions open while others commit; they share the first aggregates.
const HOLDERS: u64 = 6;
const HELD_AGGREGATES: u64 = 3;
const CHANGES_PER_HOLDER: u64 = 40;
/// Writers that never wait for anybody; they share the aggregates after those, and go on to the end.
const RUNNERS: u64 = 5;
const RUNNING_AGGREGATES: u64 = 2;
/// Relays that die.
const DEATHS: u64 = 6;
/// What a relay waits for in the middle of a batch while the test holds it.
const GATE: i64 = 4711;

/// What the writers have in common.
struct Writers {
    fixture: Arc<Fixture>,
    /// Numbers the tries, so that a change that was rolled back is told from the one that took its version.
    tries: AtomicU64,
    /// Ids of the events that are committed.
    committed: Mutex<Vec<Uuid>>,
    commits: watch::Sender<u64>,
}

impl Writers {
    /// Locks an aggregate, counts its version up and publishes. Commits, or gives up, when so many others have committed.
    async fn change(&self, db: &Db, aggregate: u64, others: u64) {
        let number = self.tries.fetch_add(1, Ordering::Relaxed);
        let gives_up = number % 5 == 3;
        let changed = db
            .run_tx("change_aggregate", |tx| {
                Box::pin(async move {
                    let version: i64 = sqlx::query_scalar(
                        "update accounts set balance = balance + 1 where id = $1 returning balance",
                    )
                    .bind(i64::try_from(aggregate).unwrap())
                    .fetch_one(tx.conn())
                    .await
                    .map_err(oms_postgres::Error::from)?;
                    let mut event = self.fixture.event(&aggregate.to_string(), version);
                    event.event_id = SeqIds::nth(number);
                    outbox::append(tx, &event).await?;
                    let mut commits = self.commits.subscribe();
                    let until = *commits.borrow() + others;
                    commits.wait_for(|commits| *commits >= until).await.unwrap();
                    if gives_up {
                        return Err(ServiceError::NotEnough);
                    }
                    Ok(SeqIds::nth(number))
                })
            })
            .await;
        match changed {
            Ok(id) => {
                self.committed.lock().unwrap().push(id);
                self.commits.send_modify(|commits| *commits += 1);
            }
            Err(error) => assert_eq!((error, gives_up), (ServiceError::NotEnough, true)),
        }
    }
}

/// Writers that end by themselves.
fn hold(writers: &Arc<Writers>, db: &Db) -> JoinSet<()> {
    let mut all = JoinSet::new();
    for holder in 0..HOLDERS {
        let (writers, db) = (Arc::clone(writers), db.clone());
        all.spawn(async move {
            for change in 0..CHANGES_PER_HOLDER {
                let aggregate = (holder + change) % HELD_AGGREGATES;
                let others = (holder * 5 + change * 3) % 9;
                writers.change(&db, aggregate, others).await;
            }
        });
    }
    all
}

/// Writers that go on until they are stopped.
fn run(writers: &Arc<Writers>, db: &Db, stop: &CancellationToken) -> JoinSet<()> {
    let mut all = JoinSet::new();
    for runner in 0..RUNNERS {
        let (writers, db, stop) = (Arc::clone(writers), db.clone(), stop.clone());
        all.spawn(async move {
            for change in 0.. {
                if stop.is_cancelled() {
                    return;
                }
                let aggregate = HELD_AGGREGATES + (runner + change) % RUNNING_AGGREGATES;
                writers.change(&db, aggregate, 0).await;
            }
        });
    }
    all
}

/// Everything of the feed until the position that `end` comes to hold.
async fn subscribe(
    db: Db,
    mut heads: watch::Receiver<Head>,
    mut end: watch::Receiver<Option<i64>>,
) -> Vec<FeedEvent> {
    let mut events = Vec::new();
    let mut pos = 0;
    while *end.borrow_and_update() != Some(pos) {
        heads.borrow_and_update();
        let mut conn = db.read().await.unwrap();
        let batch = feed::read(&mut conn, pos, 50, &Filter::default())
            .await
            .unwrap();
        drop(conn);
        assert_eq!(batch.from_pos, pos);
        if batch.through_pos == pos {
            tokio::select! {
                _ = heads.changed() => {}
                _ = end.changed() => {}
            }
        }
        pos = batch.through_pos;
        events.extend(batch.events);
    }
    events
}

/// Kills the connection of a relay that has given positions to a batch and not committed them.
async fn kill_a_relay(fixture: &Fixture) {
    let mut gate = fixture.test_db.connect().await;
    sqlx::query("select pg_advisory_lock($1)")
        .bind(GATE)
        .execute(&mut gate)
        .await
        .unwrap();
    let pid = wait_for("a relay in the middle of a batch", || async {
        let mut conn = fixture.test_db.connect().await;
        let pid = sqlx::query_scalar::<_, i32>(
            "select pid from pg_locks
             where locktype = 'advisory' and not granted and objid = $1::bigint::oid
               and database = (select oid from pg_database where datname = current_database())",
        )
        .bind(GATE)
        .fetch_optional(&mut conn)
        .await
        .unwrap();
        pid.ok_or_else(|| "nobody is at the gate".to_owned())
    })
    .await;
    let was_killed: bool = sqlx::query_scalar("select pg_terminate_backend($1, 10000)")
        .bind(pid)
        .fetch_one(&mut gate)
        .await
        .unwrap();
    assert!(was_killed);
    // Closing the connection opens the gate.
}

/// Nothing lost, doubled or inverted.
fn prove(events: &[FeedEvent], mut committed: Vec<Uuid>) {
    let mut versions: HashMap<&str, i64> = HashMap::new();
    for (event, pos) in events.iter().zip(1_i64..) {
        assert_eq!(event.pos, pos, "positions are dense");
        let last = versions.entry(&event.aggregate_id).or_default();
        let version = event.aggregate_version;
        assert_eq!(version, *last + 1, "lost or inverted at {pos}");
        *last = version;
    }
    let mut seen: Vec<Uuid> = events.iter().map(|event| event.event_id).collect();
    seen.sort_unstable();
    committed.sort_unstable();
    assert!(
        seen == committed,
        "{} events of {} commits",
        seen.len(),
        committed.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_commits_and_dying_relays_lose_double_and_invert_nothing() {
    let fixture = Arc::new(Fixture::new().await);
    fixture
        .execute(
            "insert into accounts (id, balance) select g, 0 from generate_series(0, 4) g;
             create function wait_at_gate() returns trigger language plpgsql as $$
             begin perform pg_advisory_xact_lock_shared(4711); return null; end $$;
             create trigger gate after insert on feed for each statement execute function wait_at_gate()",
        )
        .await;
    let config = RelayConfig {
        batch: 7,
        partition_size: 100,
        ..RelayConfig::default()
    };
    let cancel = CancellationToken::new();
    // Each of them like a process of its own, with a pool of its own.
    let relays: Vec<_> = [fixture.db.clone(), fixture.another().await]
        .into_iter()
        .map(|db| relay::spawn(db, config.clone(), cancel.clone()))
        .collect();
    let (end, at_end) = watch::channel(None);
    let reader = fixture.another().await;
    let subscriber = tokio::spawn(subscribe(reader, fixture.db.feed_head(), at_end));

    let writers = Arc::new(Writers {
        fixture: Arc::clone(&fixture),
        tries: AtomicU64::new(1),
        committed: Mutex::default(),
        commits: watch::Sender::default(),
    });
    let mut bounded = hold(&writers, &fixture.another().await);
    let victims = Arc::clone(&fixture);
    bounded.spawn(async move {
        for _ in 0..DEATHS {
            kill_a_relay(&victims).await;
        }
    });
    let stop = CancellationToken::new();
    let runners = run(&writers, &fixture.another().await, &stop);
    bounded.join_all().await;
    stop.cancel();
    runners.join_all().await;

    let committed = std::mem::take(&mut *writers.committed.lock().unwrap());
    end.send_replace(Some(i64::try_from(committed.len()).unwrap()));
    let events = subscriber.await.unwrap();
    cancel.cancel();
    for relay in relays {
        relay.await.unwrap();
    }
    prove(&events, committed);
    assert_eq!(fixture.number("select count(*) from outbox").await, 0);
    let head = fixture.number("select pos from feed_head").await;
    assert_eq!(head, i64::try_from(events.len()).unwrap());
}
