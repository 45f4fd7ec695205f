use std::collections::HashMap;
use std::time::Duration;

use oms_postgres::feed::{self, Filter};
use oms_postgres::outbox;
use oms_postgres::relay::{self, Relay, RelayConfig};
use tokio_util::sync::CancellationToken;

use crate::support::Fixture;

/// Reads the whole feed and proves it: dense positions, every event once, every aggregate in order.
async fn prove_feed(fixture: &Fixture, expected: i64) {
    let mut conn = fixture.db.read().await.unwrap();
    let mut pos = 0;
    let mut versions: HashMap<String, i64> = HashMap::new();
    loop {
        let batch = feed::read(&mut conn, pos, 100, &Filter::default())
            .await
            .unwrap();
        if batch.through_pos == pos {
            break;
        }
        for event in batch.events {
            pos += 1;
            assert_eq!(event.pos, pos, "a gap");
            let version = versions.entry(event.aggregate_id).or_default();
            assert_eq!(
                event.aggregate_version,
                *version + 1,
                "lost or inverted at {pos}"
            );
            *version += 1;
        }
        assert_eq!(batch.through_pos, pos);
    }
    assert_eq!(pos, expected);
    assert_eq!(fixture.number("select count(*) from outbox").await, 0);
}

#[tokio::test]
async fn a_commit_wakes_the_relay_and_the_relay_its_subscribers() {
    let fixture = Fixture::new().await;
    let cancel = CancellationToken::new();
    // A poll that never comes: only the wake-up can move the event.
    let config = RelayConfig {
        poll: Duration::from_hours(24),
        ..RelayConfig::default()
    };
    let relay = relay::spawn(fixture.db.clone(), config, cancel.clone());
    let mut head = fixture.db.feed_head();
    head.wait_for(|head| !head.epoch.is_nil()).await.unwrap();
    let event = fixture.event("a", 1);
    fixture
        .db
        .run_tx("append", |tx| {
            let event = &event;
            Box::pin(async move { outbox::append(tx, event).await })
        })
        .await
        .unwrap();
    head.wait_for(|head| head.pos == 1).await.unwrap();
    cancel.cancel();
    relay.await.unwrap();
}

#[tokio::test]
async fn the_poll_finds_what_another_process_committed() {
    let fixture = Fixture::new().await;
    let cancel = CancellationToken::new();
    let relay = relay::spawn(fixture.db.clone(), RelayConfig::default(), cancel.clone());
    let event = fixture.event("a", 1);
    let other = fixture.another().await;
    other
        .run_tx("append", |tx| {
            let event = &event;
            Box::pin(async move { outbox::append(tx, event).await })
        })
        .await
        .unwrap();
    fixture
        .db
        .feed_head()
        .wait_for(|head| head.pos == 1)
        .await
        .unwrap();
    cancel.cancel();
    relay.await.unwrap();
}

#[tokio::test]
async fn events_of_one_transaction_keep_their_order_across_partitions() {
    let fixture = Fixture::new().await;
    fixture
        .execute(
            "drop table feed_1; create table feed_1 partition of feed for values from (1) to (4)",
        )
        .await;
    let events: Vec<_> = (1..=20)
        .map(|version| fixture.event("a", version))
        .collect();
    let mut relay = Relay::new(
        fixture.db.clone(),
        RelayConfig {
            batch: 3,
            partition_size: 5,
            ..RelayConfig::default()
        },
    );
    fixture
        .db
        .run_tx("append_all", |tx| {
            let events = &events;
            Box::pin(async move { outbox::append_all(tx, events).await })
        })
        .await
        .unwrap();
    assert_eq!(relay.drain().await.unwrap(), 20);
    prove_feed(&fixture, 20).await;
}

#[tokio::test]
async fn an_idle_relay_writes_nothing() {
    let fixture = Fixture::new().await;
    let mut relay = fixture.relay();
    relay.drain().await.unwrap();
    let before = fixture
        .number("select xmin::text::bigint + xmax::text::bigint from feed_head")
        .await;
    relay.drain().await.unwrap();
    let after = fixture
        .number("select xmin::text::bigint + xmax::text::bigint from feed_head")
        .await;
    assert_eq!(before, after);
}
