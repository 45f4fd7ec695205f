use oms_postgres::Error;
use oms_postgres::feed::{self, Filter};
use oms_postgres::idempotency::{self, RequestKey};
use oms_postgres::maintenance::{self, MaintenanceConfig, Removed};
use oms_postgres::outbox;
use oms_postgres::relay::{Relay, RelayConfig};
use oms_testkit::SeqIds;

use crate::support::Fixture;

#[tokio::test]
async fn old_request_ids_and_done_tasks_are_forgotten_and_open_ones_kept() {
    let fixture = Fixture::new().await;
    let mut conn = fixture.db.read().await.unwrap();
    for number in 1..=2 {
        let key = RequestKey {
            principal: "user:alice".to_owned(),
            method: "PlaceOrder",
            request_id: SeqIds::nth(number),
            hash: [1; 32],
            reason: String::new(),
        };
        idempotency::record(&mut conn, &key, "1").await.unwrap();
        fixture
            .insert_task(fixture.task(number, "capture_payment"))
            .await;
    }
    fixture
        .insert_task(fixture.task(3, "capture_payment"))
        .await;
    fixture
        .execute(
            "update idempotency set created_at = now() - interval '8 days'
             where request_id = '00000000-0000-7000-8000-000000000001';
             update tasks set created_at = now() - interval '9 days';
             update tasks set state = 'DONE', ended_at = now() - interval '2 days'
             where id = '00000000-0000-7000-8000-000000000001';
             update tasks set state = 'STUCK', ended_at = now() - interval '2 days'
             where id = '00000000-0000-7000-8000-000000000002'",
        )
        .await;
    let removed = maintenance::run_once(&fixture.db, &MaintenanceConfig::default())
        .await
        .unwrap();
    assert_eq!(
        removed,
        Removed {
            request_ids: 1,
            tasks: 1,
            ..Removed::default()
        }
    );
    assert_eq!(fixture.number("select count(*) from tasks").await, 2);
    assert_eq!(fixture.number("select count(*) from idempotency").await, 1);
}

#[tokio::test]
async fn old_partitions_go_and_positions_go_on() {
    let fixture = Fixture::new().await;
    fixture
        .execute(
            "drop table feed_1; create table feed_1 partition of feed for values from (1) to (11)",
        )
        .await;
    let mut relay = Relay::new(
        fixture.db.clone(),
        RelayConfig {
            batch: 10,
            partition_size: 10,
            ..RelayConfig::default()
        },
    );
    let events: Vec<_> = (1..=35)
        .map(|version| fixture.event("a", version))
        .collect();
    fixture
        .db
        .run_tx("append_all", |tx| {
            let events = &events;
            Box::pin(async move { outbox::append_all(tx, events).await })
        })
        .await
        .unwrap();
    relay.drain().await.unwrap();
    // What is not in the audit log yet is needed.
    fixture
        .execute("update feed set relayed_at = now() - interval '40 days' where pos <= 20")
        .await;
    let config = MaintenanceConfig::default();
    let removed = maintenance::run_once(&fixture.db, &config).await.unwrap();
    assert_eq!(removed.partitions, 0);
    fixture.auditor().drain().await.unwrap();
    // The first two partitions are old, the third is young.
    assert_eq!(
        maintenance::run_once(&fixture.db, &config)
            .await
            .unwrap()
            .partitions,
        2
    );
    assert_eq!(
        maintenance::run_once(&fixture.db, &config)
            .await
            .unwrap()
            .partitions,
        0
    );

    let mut conn = fixture.db.read().await.unwrap();
    let gone = feed::read(&mut conn, 19, 10, &Filter::default())
        .await
        .unwrap_err();
    assert!(matches!(
        gone,
        Error::FeedPositionGone {
            first_pos: 21,
            head_pos: 35
        }
    ));
    let kept = feed::read(&mut conn, 20, 100, &Filter::default())
        .await
        .unwrap();
    assert_eq!(kept.events.len(), 15);
    drop(conn);

    fixture.publish(vec![fixture.event("a", 36)]).await;
    assert_eq!(fixture.number("select pos from feed_head").await, 36);
}
