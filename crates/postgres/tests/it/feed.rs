use oms_postgres::Error;
use oms_postgres::feed::{self, Filter};
use oms_postgres::outbox::Attributes;
use oms_testkit::SeqIds;

use crate::support::Fixture;

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// Ten events: odd positions are of type A in channel web, even ones of type B at node-1.
async fn ten_events(fixture: &Fixture) {
    let events = (1..=10).map(|version| {
        let mut event = fixture.event("a", version);
        if version % 2 == 1 {
            event.event_type = "A";
            event.attributes = Attributes {
                channel_id: Some("web".to_owned()),
                ..Attributes::default()
            };
        } else {
            event.event_type = "B";
            event.attributes = Attributes {
                location_id: Some("node-1".to_owned()),
                ..Attributes::default()
            };
        }
        event
    });
    fixture.publish(events.collect()).await;
}

async fn positions(fixture: &Fixture, filter: &Filter) -> Vec<i64> {
    let mut conn = fixture.db.read().await.unwrap();
    let batch = feed::read(&mut conn, 0, 0, filter).await.unwrap();
    assert_eq!(
        (batch.from_pos, batch.through_pos, batch.head_pos),
        (0, 10, 10)
    );
    batch.events.iter().map(|event| event.pos).collect()
}

#[tokio::test]
async fn filters_select_and_the_batch_covers_what_they_leave_out() {
    let fixture = Fixture::new().await;
    ten_events(&fixture).await;
    let all = Filter::default();
    assert_eq!(
        positions(&fixture, &all).await,
        (1..=10).collect::<Vec<_>>()
    );
    let by_type = Filter {
        types: texts(&["B"]),
        ..Filter::default()
    };
    assert_eq!(positions(&fixture, &by_type).await, [2, 4, 6, 8, 10]);
    let by_channel = Filter {
        channel_ids: texts(&["web", "shop"]),
        ..Filter::default()
    };
    assert_eq!(positions(&fixture, &by_channel).await, [1, 3, 5, 7, 9]);
    let by_location = Filter {
        location_ids: texts(&["node-1"]),
        ..Filter::default()
    };
    assert_eq!(positions(&fixture, &by_location).await, [2, 4, 6, 8, 10]);
    let both = Filter {
        types: texts(&["A"]),
        location_ids: texts(&["node-1"]),
        ..Filter::default()
    };
    assert_eq!(positions(&fixture, &both).await, [0_i64; 0]);
    let nobody = Filter {
        aggregate_ids: texts(&["b"]),
        ..Filter::default()
    };
    assert_eq!(positions(&fixture, &nobody).await, [0_i64; 0]);
}

#[tokio::test]
async fn batches_follow_each_other_to_the_head() {
    let fixture = Fixture::new().await;
    ten_events(&fixture).await;
    let mut conn = fixture.db.read().await.unwrap();
    let filter = Filter {
        types: texts(&["A"]),
        ..Filter::default()
    };
    let mut seen = Vec::new();
    let mut pos = 0;
    for through in [4, 8, 10, 10] {
        let batch = feed::read(&mut conn, pos, 4, &filter).await.unwrap();
        assert_eq!((batch.from_pos, batch.through_pos), (pos, through));
        seen.extend(batch.events.iter().map(|event| event.pos));
        pos = batch.through_pos;
    }
    assert_eq!(seen, [1, 3, 5, 7, 9]);
}

#[tokio::test]
async fn a_position_beyond_the_head_is_an_error_and_not_silence() {
    let fixture = Fixture::new().await;
    ten_events(&fixture).await;
    let mut conn = fixture.db.read().await.unwrap();
    let error = feed::read(&mut conn, 11, 10, &Filter::default())
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        Error::FeedPositionGone {
            first_pos: 1,
            head_pos: 10
        }
    ));
}

#[tokio::test]
async fn an_operator_can_start_a_new_epoch() {
    let fixture = Fixture::new().await;
    let mut conn = fixture.db.read().await.unwrap();
    let before = feed::head(&mut conn).await.unwrap();
    feed::set_epoch(&mut conn, SeqIds::nth(9)).await.unwrap();
    let after = feed::head(&mut conn).await.unwrap();
    assert_ne!(before.epoch, after.epoch);
    assert_eq!(after.epoch, SeqIds::nth(9));
}

#[tokio::test]
async fn what_was_published_comes_out_as_it_was() {
    let fixture = Fixture::new().await;
    let mut event = fixture.event("a", 1);
    event.attributes = Attributes {
        channel_id: Some("web".to_owned()),
        location_id: None,
        partner_id: Some("acme".to_owned()),
    };
    fixture.publish(vec![event.clone()]).await;
    let mut conn = fixture.db.read().await.unwrap();
    let batch = feed::read(&mut conn, 0, 10, &Filter::default())
        .await
        .unwrap();
    let read = &batch.events[0];
    assert_eq!(read.event_id, event.event_id);
    assert_eq!(read.aggregate_type, "order");
    assert_eq!(read.event_type, "OrderPlaced");
    assert_eq!(read.payload, event.payload);
    assert_eq!(read.actor, "user:alice");
    assert_eq!(read.occurred_at, event.occurred_at);
    assert_eq!(read.channel_id.as_deref(), Some("web"));
    assert_eq!(read.location_id, None);
    assert_eq!(read.partner_id.as_deref(), Some("acme"));
}
