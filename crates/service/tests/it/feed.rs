//! The event feed.

use oms_proto::common::v1::ErrorReason;
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_proto::events::v1::{EventFilter, GetHeadRequest, SubscribeRequest, SubscribeResponse};
use oms_service::PeerError;
use tonic::{Code, Status, Streaming};

use crate::support::Fixture;

pub(crate) fn request(after_pos: i64) -> SubscribeRequest {
    SubscribeRequest {
        consumer: "test".to_owned(),
        after_pos,
        ..SubscribeRequest::default()
    }
}

pub(crate) type Batches = Streaming<SubscribeResponse>;

pub(crate) async fn subscribe(
    fixture: &Fixture,
    request: SubscribeRequest,
) -> Result<Batches, Status> {
    let mut client = EventFeedServiceClient::new(fixture.channel());
    Ok(client.subscribe(request).await?.into_inner())
}

/// Subscribes and waits for the first batch, which comes at once.
pub(crate) async fn subscribe_after(fixture: &Fixture, pos: i64) -> Result<Batches, Status> {
    let mut batches = subscribe(fixture, request(pos)).await?;
    batches.message().await?;
    Ok(batches)
}

/// Events as (aggregate, version), up to this position.
async fn read_until(batches: &mut Batches, pos: i64) -> Vec<(String, i64)> {
    let (mut events, mut through) = (Vec::new(), None);
    while through < Some(pos) {
        let batch = batches.message().await.unwrap().unwrap();
        assert!(
            through.is_none_or(|through| through == batch.from_pos),
            "dense: {batch:?}"
        );
        through = Some(batch.through_pos);
        events.extend(
            batch
                .events
                .into_iter()
                .map(|e| (e.aggregate_id, e.aggregate_version)),
        );
    }
    events
}

fn owned(events: &[(&str, i64)]) -> Vec<(String, i64)> {
    events
        .iter()
        .map(|(id, version)| ((*id).to_owned(), *version))
        .collect()
}

#[tokio::test]
async fn events_arrive_in_order_as_they_are_committed() {
    let fixture = Fixture::new().await;
    let mut batches = subscribe(&fixture, request(0)).await.unwrap();
    let first = batches.message().await.unwrap().unwrap();
    assert_eq!((first.head_pos, first.events.len()), (0, 0));
    fixture.publish(&[("a", 1), ("b", 1)]).await;
    fixture.publish(&[("a", 2)]).await;
    let seen = read_until(&mut batches, 3).await;
    assert_eq!(seen, owned(&[("a", 1), ("b", 1), ("a", 2)]));
    let mut replay = subscribe(&fixture, request(1)).await.unwrap();
    assert_eq!(
        read_until(&mut replay, 3).await,
        owned(&[("b", 1), ("a", 2)])
    );
    let mut client = EventFeedServiceClient::new(fixture.channel());
    let head = client
        .get_head(GetHeadRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!((head.first_pos, head.pos, head.epoch), (1, 3, first.epoch));
}

#[tokio::test]
async fn an_event_carries_what_happened() {
    let fixture = Fixture::new().await;
    fixture.publish(&[("a", 1)]).await;
    let mut batches = subscribe(&fixture, request(0)).await.unwrap();
    let event = loop {
        let batch = batches.message().await.unwrap().unwrap();
        if let Some(event) = batch.events.into_iter().next() {
            break event;
        }
    };
    assert_eq!(
        (event.pos, &*event.source, &*event.r#type),
        (1, "order", "OrderPlaced")
    );
    assert_eq!(
        (&*event.aggregate_type, &*event.actor),
        ("order", "user:alice")
    );
    assert_eq!(event.payload, b"a/1");
    assert!(event.occurred_at.is_some());
}

#[tokio::test]
async fn a_filter_leaves_events_out_and_still_covers_their_positions() {
    let fixture = Fixture::new().await;
    fixture
        .publish(&[("a", 1), ("b", 1), ("a", 2), ("c", 1)])
        .await;
    let only_b = SubscribeRequest {
        filter: Some(EventFilter {
            aggregate_ids: vec!["b".to_owned()],
            ..EventFilter::default()
        }),
        batch_size_max: 1,
        ..request(0)
    };
    let mut batches = subscribe(&fixture, only_b).await.unwrap();
    assert_eq!(read_until(&mut batches, 4).await, owned(&[("b", 1)]));
}

#[tokio::test]
async fn a_silent_feed_says_that_it_lives() {
    let fixture = Fixture::new().await;
    let mut batches = subscribe_after(&fixture, 0).await.unwrap();
    let heartbeat = batches.message().await.unwrap().unwrap();
    assert_eq!((heartbeat.through_pos, heartbeat.events.len()), (0, 0));
}

/// Reads on from this position until the stream ends; its last position, and how it ended.
pub(crate) async fn until_ended(batches: &mut Batches, mut pos: i64) -> (i64, PeerError) {
    loop {
        match batches.message().await {
            Ok(batch) => pos = batch.unwrap().through_pos,
            Err(status) => return (pos, status.into()),
        }
    }
}

#[tokio::test]
async fn a_stream_ends_at_its_age_and_goes_on_from_its_position() {
    let fixture = Fixture::with("server.connection_age_secs = 2").await;
    fixture.publish(&[("a", 1)]).await;
    let mut batches = subscribe(&fixture, request(0)).await.unwrap();
    assert_eq!(read_until(&mut batches, 1).await, owned(&[("a", 1)]));
    let (pos, ended) = until_ended(&mut batches, 1).await;
    assert_eq!(ended.code(), Code::Unavailable);
    assert_eq!(ended.metadata("ended"), Some("age"));
    assert!(ended.retryable());

    fixture.publish(&[("a", 2)]).await;
    let mut batches = subscribe(&fixture, request(pos)).await.unwrap();
    assert_eq!(read_until(&mut batches, 2).await, owned(&[("a", 2)]));
    // That is no failure, which an alert could take for one.
    let metrics = fixture.metrics().await;
    let ended = "method=\"EventFeedService/Subscribe\",code=\"OK\"}";
    assert!(metrics.contains(ended), "{metrics}");
}

#[tokio::test]
async fn another_epoch_or_a_lost_position_asks_for_a_resync() {
    let fixture = Fixture::new().await;
    let other_epoch = SubscribeRequest {
        epoch: "0190f7b4-7f2a-7c3e-8a51-1d2e3f405162".to_owned(),
        ..request(0)
    };
    let refused = subscribe(&fixture, other_epoch).await.unwrap_err();
    let lost = subscribe_after(&fixture, 7).await.unwrap_err();
    let kept = PeerError::from(lost.clone());
    let kept = (kept.metadata("first_pos"), kept.metadata("head_pos"));
    assert_eq!(kept, (Some("1"), Some("0")));
    for status in [refused, lost] {
        let error = PeerError::from(status);
        assert_eq!(error.code(), Code::FailedPrecondition);
        assert_eq!(error.reason(), Some(ErrorReason::FeedEpochChanged));
        assert!(error.metadata("epoch").is_some());
    }
}

#[tokio::test]
async fn a_bad_subscription_is_told_everything_at_once() {
    let fixture = Fixture::new().await;
    let bad = SubscribeRequest {
        after_pos: -1,
        batch_size_max: -1,
        ..SubscribeRequest::default()
    };
    let error = PeerError::from(subscribe(&fixture, bad).await.unwrap_err());
    let fields: Vec<_> = error.violations().iter().map(|v| &*v.field).collect();
    assert_eq!(fields, ["consumer", "after_pos", "batch_size_max"]);
}
