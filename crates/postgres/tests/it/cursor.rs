use oms_postgres::Error;
use oms_postgres::cursor::{self, Cursor};
use oms_postgres::parked::{self, ParkedEvent};
use oms_testkit::SeqIds;
use tokio::task::JoinSet;

use crate::support::Fixture;

async fn advance(fixture: &Fixture, epoch: u64, from: i64, through: i64) -> bool {
    let epoch = SeqIds::nth(epoch);
    fixture
        .db
        .run_tx("advance", |tx| {
            Box::pin(
                async move { cursor::advance(tx, "order", "shipping", epoch, from, through).await },
            )
        })
        .await
        .unwrap()
        .is_some()
}

async fn get(fixture: &Fixture) -> Option<Cursor> {
    let mut conn = fixture.db.read().await.unwrap();
    cursor::get(&mut conn, "order", "shipping").await.unwrap()
}

#[tokio::test]
async fn batches_that_do_not_follow_are_dropped() {
    let fixture = Fixture::new().await;
    assert_eq!(get(&fixture).await, None);
    assert!(
        !advance(&fixture, 1, 5, 9).await,
        "the first batch starts at 0"
    );
    assert!(advance(&fixture, 1, 0, 5).await);
    assert!(!advance(&fixture, 1, 0, 5).await, "applied already");
    assert!(!advance(&fixture, 1, 6, 9).await, "6 is missing");
    assert!(!advance(&fixture, 2, 5, 9).await, "another epoch");
    assert!(advance(&fixture, 1, 5, 9).await);
    assert_eq!(
        get(&fixture).await,
        Some(Cursor {
            epoch: SeqIds::nth(1),
            pos: 9
        })
    );
}

#[tokio::test]
async fn a_reset_replays_or_changes_the_epoch() {
    let fixture = Fixture::new().await;
    assert!(advance(&fixture, 1, 0, 5).await);
    let mut conn = fixture.db.read().await.unwrap();
    let start = Cursor {
        epoch: SeqIds::nth(2),
        pos: 3,
    };
    cursor::reset(&mut conn, "order", "shipping", start)
        .await
        .unwrap();
    assert!(!advance(&fixture, 1, 5, 6).await);
    assert!(advance(&fixture, 2, 3, 4).await);
}

/// Two replicas get the same batches; the effect of each is committed once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_consumers_of_one_name_apply_each_batch_once() {
    let fixture = Fixture::new().await;
    fixture
        .execute("insert into accounts (id, balance) values (1, 0)")
        .await;
    let epoch = SeqIds::nth(1);
    let mut consumers = JoinSet::new();
    for _ in 0..4 {
        let db = fixture.db.clone();
        consumers.spawn(async move {
            for from in 0..25 {
                db.run_tx("apply", |tx| {
                    Box::pin(async move {
                        let moved =
                            cursor::advance(tx, "order", "shipping", epoch, from, from + 1).await?;
                        if moved.is_some() {
                            sqlx::query("update accounts set balance = balance + 1")
                                .execute(tx.conn())
                                .await?;
                        }
                        Ok::<_, Error>(())
                    })
                })
                .await
                .unwrap();
            }
        });
    }
    consumers.join_all().await;
    assert_eq!(fixture.number("select balance from accounts").await, 25);
    assert_eq!(get(&fixture).await.map(|cursor| cursor.pos), Some(25));
}

fn parked_event(pos: i64, aggregate_id: &str) -> ParkedEvent {
    ParkedEvent {
        consumer: "order".to_owned(),
        source: "shipping".to_owned(),
        epoch: SeqIds::nth(1),
        pos,
        event_id: SeqIds::nth(pos.unsigned_abs()),
        event_type: "ShipmentShipped".to_owned(),
        aggregate_type: "shipment".to_owned(),
        aggregate_id: aggregate_id.to_owned(),
        event: vec![1],
        error: "unknown line".to_owned(),
    }
}

#[tokio::test]
async fn a_parked_event_blocks_its_aggregate_until_it_is_removed() {
    let fixture = Fixture::new().await;
    let mut conn = fixture.db.read().await.unwrap();
    for (pos, aggregate) in [(3, "a"), (5, "a"), (4, "b")] {
        parked::park(&mut conn, &parked_event(pos, aggregate))
            .await
            .unwrap();
    }
    parked::park(&mut conn, &parked_event(3, "a"))
        .await
        .unwrap();

    assert!(
        parked::blocks(&mut conn, "order", "shipping", "shipment", "a")
            .await
            .unwrap()
    );
    assert!(
        !parked::blocks(&mut conn, "order", "shipping", "shipment", "c")
            .await
            .unwrap()
    );
    assert!(
        !parked::blocks(&mut conn, "order", "returns", "shipment", "a")
            .await
            .unwrap()
    );

    let mut heads = async |after, limit| {
        let heads = parked::heads(&mut conn, "order", "shipping", after, limit).await;
        let heads = heads.unwrap();
        let heads = heads.iter().map(|row| (row.pos, row.attempts));
        heads.collect::<Vec<_>>()
    };
    let all = heads(("", ""), 10).await;
    assert_eq!(all, [(3, 2), (4, 1)], "the oldest of each aggregate");
    assert_eq!(heads(("", ""), 1).await, [(3, 2)]);
    assert_eq!(heads(("shipment", "a"), 10).await, [(4, 1)]);
    assert_eq!(heads(("shipment", "b"), 10).await, []);

    let epoch = SeqIds::nth(1);
    assert!(
        parked::remove(&mut conn, "order", "shipping", epoch, 3)
            .await
            .unwrap()
    );
    assert!(
        !parked::remove(&mut conn, "order", "shipping", epoch, 3)
            .await
            .unwrap()
    );
    assert!(
        parked::blocks(&mut conn, "order", "shipping", "shipment", "a")
            .await
            .unwrap()
    );
    parked::remove(&mut conn, "order", "shipping", epoch, 5)
        .await
        .unwrap();
    assert!(
        !parked::blocks(&mut conn, "order", "shipping", "shipment", "a")
            .await
            .unwrap()
    );
}
