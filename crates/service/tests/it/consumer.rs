//! What a consumer does with a peer's events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::BoxFuture;
use oms_postgres::parked::{self, ParkedEvent};
use oms_postgres::{Db, cursor, feed};
use oms_proto::events::v1::Event;
use oms_service::{ApplyError, Batch, EpochPolicy, FeedConsumer};
use oms_testkit::{SeqIds, TestDb, wait_for};
use prost::Message;
use sqlx::PgConnection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{Fixture, connect, database, start};

/// A consumer on a database of its own.
struct Consumer {
    database: TestDb,
    db: Db,
    cancel: CancellationToken,
    /// While set, events of aggregates `bad..` are refused.
    refuses: Arc<AtomicBool>,
    running: Option<JoinHandle<()>>,
}

impl Consumer {
    async fn new() -> Self {
        let database = database().await;
        let db = connect(&database).await;
        Self {
            database,
            db,
            cancel: CancellationToken::new(),
            refuses: Arc::default(),
            running: None,
        }
    }

    async fn of(source: &Fixture) -> Self {
        let mut consumer = Self::new().await;
        consumer.start(source, |consumer| consumer);
        consumer
    }

    fn start(&mut self, source: &Fixture, more: impl FnOnce(FeedConsumer) -> FeedConsumer) {
        let refuses = Arc::clone(&self.refuses);
        let consumer =
            FeedConsumer::new(self.db.clone(), source.peer_channel(), "returns", "order");
        let consumer = consumer.apply(move |conn, event| {
            let refuses = refuses.load(Ordering::SeqCst);
            Box::pin(apply(conn, event, refuses))
        });
        self.running = Some(more(consumer).spawn(self.cancel.clone()));
    }

    async fn stop(&mut self) {
        self.cancel.cancel();
        self.running.take().unwrap().await.unwrap();
        self.cancel = CancellationToken::new();
    }

    async fn applied(&self) -> Vec<(String, i64)> {
        let mut conn = self.database.connect().await;
        let sql = "select aggregate_id, aggregate_version from applied order by n";
        sqlx::query_as(sql).fetch_all(&mut conn).await.unwrap()
    }

    async fn pos(&self) -> i64 {
        let mut conn = self.db.read().await.unwrap();
        let cursor = cursor::get(&mut conn, "returns", "order").await.unwrap();
        cursor.map_or(0, |cursor| cursor.pos)
    }

    async fn parked(&self) -> i64 {
        let mut conn = self.database.connect().await;
        let sql = "select count(*) from parked_events";
        sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
    }

    async fn wait_for_pos(&self, pos: i64) {
        wait_for("the cursor", || async {
            match self.pos().await {
                at if at == pos => Ok(()),
                at => Err(at.to_string()),
            }
        })
        .await;
    }

    async fn wait_for_applied(&self, count: usize) {
        wait_for("events", || async {
            let applied = self.applied().await;
            if applied.len() == count {
                Ok(())
            } else {
                Err(format!("{applied:?}"))
            }
        })
        .await;
    }
}

async fn apply(conn: &mut PgConnection, event: &Event, refuses: bool) -> Result<(), ApplyError> {
    sqlx::query("insert into applied (aggregate_id, aggregate_version) values ($1, $2)")
        .bind(&event.aggregate_id)
        .bind(event.aggregate_version)
        .execute(conn)
        .await?;
    if refuses && event.aggregate_id.starts_with("bad") {
        return Err(ApplyError::rejected("it makes no sense"));
    }
    Ok(())
}

fn owned(events: &[(&str, i64)]) -> Vec<(String, i64)> {
    events
        .iter()
        .map(|(id, version)| ((*id).to_owned(), *version))
        .collect()
}

#[tokio::test]
async fn every_event_is_applied_once_across_restarts_of_both_sides() {
    let mut source = Fixture::new().await;
    source.publish(&[("a", 1), ("b", 1)]).await;
    let mut consumer = Consumer::of(&source).await;
    consumer.wait_for_pos(2).await;

    let addr = source.handle.addr;
    source.handle.shutdown().await.unwrap();
    source.handle = start(&source.database, &format!("listen = \"{addr}\""))
        .await
        .unwrap();
    source.publish(&[("a", 2)]).await;
    consumer.wait_for_pos(3).await;

    consumer.stop().await;
    source.publish(&[("a", 3)]).await;
    consumer.start(&source, |consumer| consumer);
    consumer.wait_for_pos(4).await;
    let expected = owned(&[("a", 1), ("b", 1), ("a", 2), ("a", 3)]);
    assert_eq!(consumer.applied().await, expected);
}

#[tokio::test]
async fn two_replicas_apply_every_event_once() {
    let source = Fixture::new().await;
    let mut consumer = Consumer::of(&source).await;
    consumer.start(&source, |consumer| consumer);
    for version in 1..=20 {
        source.publish(&[("a", version)]).await;
    }
    consumer.wait_for_pos(20).await;
    let expected: Vec<_> = (1..=20).map(|version| ("a".to_owned(), version)).collect();
    assert_eq!(consumer.applied().await, expected);
}

#[tokio::test]
async fn the_cursor_moves_over_events_of_other_types() {
    let source = Fixture::new().await;
    source.publish(&[("a", 1), ("b", 1)]).await;
    let mut consumer = Consumer::new().await;
    consumer.start(&source, |consumer| consumer.types(&["ShipmentShipped"]));
    consumer.wait_for_pos(2).await;
    assert_eq!(consumer.applied().await, []);
}

#[tokio::test]
async fn a_poison_event_is_parked_and_blocks_its_aggregate_only() {
    let source = Fixture::new().await;
    source
        .publish(&[("good", 1), ("bad", 1), ("bad", 2), ("good", 2)])
        .await;
    let mut consumer = Consumer::new().await;
    consumer.refuses.store(true, Ordering::SeqCst);
    consumer.start(&source, |consumer| consumer);
    consumer.wait_for_pos(4).await;
    source.publish(&[("bad", 3), ("good", 3)]).await;
    consumer.wait_for_pos(6).await;
    assert_eq!(
        consumer.applied().await,
        owned(&[("good", 1), ("good", 2), ("good", 3)])
    );
    assert_eq!(consumer.parked().await, 3);
    let mut conn = consumer.db.read().await.unwrap();
    let heads = parked::heads(&mut conn, "returns", "order", ("", ""), 10)
        .await
        .unwrap();
    drop(conn);
    let heads: Vec<_> = heads.iter().map(|head| (head.pos, &*head.error)).collect();
    assert_eq!(heads, [(2, "it makes no sense")]);

    // Mended: what is parked goes through in its order, and nothing stays behind.
    consumer.stop().await;
    consumer.refuses.store(false, Ordering::SeqCst);
    consumer.start(&source, |consumer| consumer);
    consumer.wait_for_applied(6).await;
    assert_eq!(
        consumer.applied().await[3..],
        owned(&[("bad", 1), ("bad", 2), ("bad", 3)])
    );
    assert_eq!(consumer.parked().await, 0);
}

/// Parks the first event of each of these aggregates.
async fn park(consumer: &Consumer, aggregates: impl IntoIterator<Item = String>) {
    let mut conn = consumer.db.read().await.unwrap();
    for (pos, aggregate_id) in (1_i64..).zip(aggregates) {
        let event_id = SeqIds::nth(pos.unsigned_abs());
        let event = Event {
            pos,
            id: event_id.to_string(),
            r#type: "OrderPlaced".to_owned(),
            aggregate_type: "order".to_owned(),
            aggregate_id,
            aggregate_version: 1,
            ..Event::default()
        };
        let parked = ParkedEvent {
            consumer: "returns".to_owned(),
            source: "order".to_owned(),
            epoch: SeqIds::nth(77),
            pos,
            event_id,
            event_type: event.r#type.clone(),
            aggregate_type: event.aggregate_type.clone(),
            aggregate_id: event.aggregate_id.clone(),
            event: event.encode_to_vec(),
            error: "it makes no sense".to_owned(),
        };
        parked::park(&mut conn, &parked).await.unwrap();
    }
}

#[tokio::test]
async fn those_that_stay_parked_keep_no_other_from_its_turn() {
    // With each new stream parked events are tried again.
    let source = Fixture::with("server.connection_age_secs = 1").await;
    let mut consumer = Consumer::new().await;
    consumer.refuses.store(true, Ordering::SeqCst);
    let bad = (0..100).map(|number| format!("bad-{number:03}"));
    park(&consumer, bad.chain(["good".to_owned()])).await;
    consumer.start(&source, |consumer| consumer);
    consumer.wait_for_applied(1).await;
    assert_eq!(consumer.applied().await, owned(&[("good", 1)]));
    assert_eq!(consumer.parked().await, 100);

    // It reads on over all those ends.
    source.publish(&[("a", 1), ("a", 2)]).await;
    consumer.wait_for_pos(2).await;
    assert_eq!(
        consumer.applied().await,
        owned(&[("good", 1), ("a", 1), ("a", 2)])
    );
}

/// Writes down what came when: the size of the batch at its beginning, the versions, which are refused below zero, at its end.
struct Kept(Vec<i64>);

impl Kept {
    async fn begin(
        conn: &mut PgConnection,
        events: &[Event],
    ) -> Result<Box<dyn Batch>, oms_postgres::Error> {
        let count = i64::try_from(events.len()).unwrap();
        write_down(conn, "begun", &[count]).await?;
        Ok(Box::new(Self(Vec::new())))
    }
}

impl Batch for Kept {
    fn apply<'t>(
        &'t mut self,
        _: &'t mut PgConnection,
        event: &'t Event,
    ) -> BoxFuture<'t, Result<(), ApplyError>> {
        self.0.push(event.aggregate_version);
        Box::pin(async { Ok(()) })
    }

    fn finish(self: Box<Self>, conn: &mut PgConnection) -> BoxFuture<'_, Result<(), ApplyError>> {
        Box::pin(async move {
            if self.0.contains(&BAD) {
                return Err(ApplyError::rejected("one of them is bad"));
            }
            Ok(write_down(conn, "a", &self.0).await?)
        })
    }
}

const BAD: i64 = 100;

async fn write_down(
    conn: &mut PgConnection,
    aggregate_id: &str,
    versions: &[i64],
) -> Result<(), oms_postgres::Error> {
    sqlx::query(
        "insert into applied (aggregate_id, aggregate_version) select $1, * from unnest($2)",
    )
    .bind(aggregate_id)
    .bind(versions)
    .execute(conn)
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_long_batch_is_applied_in_parts_and_one_bad_event_is_found_among_them() {
    let source = Fixture::new().await;
    let events: Vec<_> = (1..=150).map(|version| ("a", version)).collect();
    source.publish(&events).await;
    source.publish(&[("b", 151)]).await;
    let mut consumer = Consumer::new().await;
    consumer.start(&source, |consumer| {
        consumer.batches(|conn, events| Box::pin(Kept::begin(conn, events)))
    });
    consumer.wait_for_pos(151).await;
    let applied = consumer.applied().await;
    let mut rest = applied.as_slice();
    let mut versions = Vec::new();
    while let Some(((kind, count), tail)) = rest.split_first() {
        assert_eq!(kind, "begun");
        assert!((1..=64).contains(count), "{count}");
        let applied = tail.iter().take_while(|(kind, _)| kind == "a").count();
        versions.extend(tail[..applied].iter().map(|(_, version)| *version));
        rest = &tail[applied..];
    }
    // What follows the bad one in its aggregate waits behind it; another aggregate goes on.
    let expected: Vec<i64> = (1..BAD).chain([151]).collect();
    assert_eq!(versions, expected);
    assert_eq!(consumer.parked().await, 51);
}

async fn restore(source: &Fixture) {
    let db = connect(&source.database).await;
    let epoch = SeqIds::nth(77);
    db.run_tx("restore", |tx| {
        Box::pin(async move { feed::set_epoch(tx.conn(), epoch).await })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_restored_feed_stops_the_consumer() {
    let source = Fixture::new().await;
    source.publish(&[("a", 1)]).await;
    let mut consumer = Consumer::of(&source).await;
    consumer.wait_for_pos(1).await;
    restore(&source).await;
    source.publish(&[("a", 2)]).await;
    let stopped = "oms_feed_stopped{service=\"returns\",source=\"order\"} 1";
    wait_for("the alarm", || async {
        let metrics = source.metrics().await;
        if metrics.contains(stopped) {
            Ok(())
        } else {
            Err(metrics)
        }
    })
    .await;
    assert_eq!(consumer.applied().await, owned(&[("a", 1)]));
    consumer.stop().await;
}

#[tokio::test]
async fn a_restored_feed_is_read_again_when_the_service_says_so() {
    let source = Fixture::new().await;
    source.publish(&[("a", 1)]).await;
    let mut consumer = Consumer::new().await;
    consumer.start(&source, |consumer| {
        consumer.on_epoch_change(EpochPolicy::Resync)
    });
    consumer.wait_for_pos(1).await;
    restore(&source).await;
    source.publish(&[("a", 2)]).await;
    consumer.wait_for_applied(3).await;
    assert_eq!(
        consumer.applied().await,
        owned(&[("a", 1), ("a", 1), ("a", 2)])
    );
}

#[tokio::test]
async fn who_begins_anew_begins_with_what_the_feed_still_keeps() {
    let source = Fixture::new().await;
    source.publish(&[("a", 1), ("a", 2), ("b", 1)]).await;
    let mut consumer = Consumer::of(&source).await;
    consumer.wait_for_pos(3).await;
    consumer.stop().await;
    // Retention takes the oldest, and an operator has the consumer read anew.
    for (database, sql) in [
        (
            &source.database,
            "delete from feed where pos < 3; update feed_head set first_pos = 3",
        ),
        (&consumer.database, "delete from feed_cursors"),
    ] {
        let mut conn = database.connect().await;
        sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    }
    consumer.start(&source, |consumer| consumer);
    source.publish(&[("a", 3)]).await;
    consumer.wait_for_applied(5).await;
    let (before, anew) = ([("a", 1), ("a", 2), ("b", 1)], [("b", 1), ("a", 3)]);
    assert_eq!(
        consumer.applied().await,
        owned(&[&before[..], &anew[..]].concat())
    );
    consumer.stop().await;
}
