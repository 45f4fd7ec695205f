//! Subscribers that do not read.

use std::ops::RangeInclusive;

use oms_postgres::outbox;

use crate::feed::{Batches, request, subscribe};
use crate::support::{Fixture, connect, event};

const EVENT_BYTES: usize = 64 * 1_024;

/// What may be on its way to one subscriber: a batch that is being sent, one in the client, and the buffers between.
const ON_THE_WAY_MAX: usize = 8 * 1_024 * 1_024;

/// Commits large events of one aggregate, ten at a time.
async fn publish(fixture: &Fixture, versions: RangeInclusive<i64>) {
    let db = connect(&fixture.database).await;
    let events: Vec<_> = versions
        .map(|version| {
            let mut event = event(&db, "a", version);
            event.payload = vec![7; EVENT_BYTES];
            event
        })
        .collect();
    for some in events.chunks(10) {
        db.run_tx("publish", |tx| {
            Box::pin(async move { outbox::append_all(tx, some).await })
        })
        .await
        .unwrap();
    }
    db.close().await;
}

/// Reads to this position; answers the versions, and the bytes of what was read from the database below this head.
async fn read(batches: &mut Batches, pos: i64, head_pos: i64) -> (Vec<i64>, usize) {
    let (mut versions, mut early, mut through) = (Vec::new(), 0, 0);
    while through < pos {
        let batch = batches.message().await.unwrap().unwrap();
        through = batch.through_pos;
        for event in batch.events {
            versions.push(event.aggregate_version);
            if batch.head_pos < head_pos {
                early += event.payload.len();
            }
        }
    }
    (versions, early)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_never_read_or_are_gone_harm_nobody() {
    let fixture = Fixture::new().await;
    let mut slow = subscribe(&fixture, request(0)).await.unwrap();
    let gone = subscribe(&fixture, request(0)).await.unwrap();
    let mut other = subscribe(&fixture, request(0)).await.unwrap();
    publish(&fixture, 1..=100).await;
    drop(gone);
    // Writers go on, and whoever reads gets everything.
    publish(&fixture, 101..=400).await;
    let all: Vec<i64> = (1..=400).collect();
    let (versions, _) = read(&mut other, 400, 0).await;
    assert_eq!(versions, all);

    // 25 MiB are there, and the server had the time to read them. Another event tells what it reads from now on from what it
    // had already read for the slow one: that must be a little only.
    publish(&fixture, 401..=401).await;
    read(&mut other, 401, 0).await;
    let (versions, early) = read(&mut slow, 401, 401).await;
    assert_eq!(versions, (1..=401).collect::<Vec<i64>>());
    assert!(early <= ON_THE_WAY_MAX, "{early} bytes were kept for it");
}
