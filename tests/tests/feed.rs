//! The event feed from its beginning: dense, complete, in order, the same at every reading.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_proto::events::v1::{Event, GetHeadRequest, SubscribeRequest};
use oms_proto::order::v1 as o;
use oms_service::PeerChannel;
use oms_tests::shop::new_order;
use oms_tests::suite::TestSuite;
use prost_reflect::{DescriptorPool, MessageDescriptor};

/// Reads a feed from a position to its present head.
async fn read(
    mut client: EventFeedServiceClient<PeerChannel>,
    after_pos: i64,
) -> anyhow::Result<Vec<Event>> {
    let head = client.get_head(GetHeadRequest {}).await?.into_inner();
    let request = SubscribeRequest {
        consumer: "test".to_owned(),
        epoch: head.epoch,
        after_pos,
        ..Default::default()
    };
    let mut batches = client.subscribe(request).await?.into_inner();
    let (mut events, mut reached) = (Vec::new(), after_pos);
    while reached < head.pos {
        let batch = batches.message().await?.context("the feed ended")?;
        ensure!(batch.from_pos == reached, "a gap before {}", batch.from_pos);
        reached = batch.through_pos;
        events.extend(batch.events);
    }
    events.retain(|event| event.pos <= head.pos);
    Ok(events)
}

/// The kind of aggregate that the contract names for an event.
fn told_aggregate(contract: &DescriptorPool, event: &Event) -> anyhow::Result<String> {
    let option = contract
        .get_extension_by_name("oms.common.v1.aggregate")
        .context("no option")?;
    let named = |message: MessageDescriptor| {
        let options = message.options();
        let value = options.get_extension(&option);
        let name = value.as_str().unwrap_or_default().to_owned();
        Some(name).filter(|name| !name.is_empty())
    };
    let package = format!("oms.{}.v1", event.source);
    let own = contract.get_message_by_name(&format!("{package}.{}", event.r#type));
    let own = own.with_context(|| format!("no message {}", event.r#type))?;
    // The message that holds all events of the service comes first in its file.
    let holder = own.parent_file().messages().next();
    named(own)
        .or_else(|| named(holder?))
        .with_context(|| format!("{} has no aggregate", event.r#type))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_replayed_from_its_beginning() -> anyhow::Result<()> {
    let suite = TestSuite::start().await?;
    suite.set_up(&["a"]).await?;
    suite.receive("west", "a", 20).await?;
    for _ in 0..5 {
        let order = suite.place(new_order(&[("a", 1)])).await?;
        let [fo] = suite
            .released(&order.order_id, 1)
            .await?
            .try_into()
            .ok()
            .context("one")?;
        suite.fulfill(&fo).await?;
        suite
            .order_in(&order.order_id, o::OrderState::Completed)
            .await?;
    }
    suite.verify().await?;
    let contract = DescriptorPool::decode(oms_proto::FILE_DESCRIPTOR_SET)?;
    for client in [
        suite.clients.order_feed(),
        suite.clients.inventory_feed(),
        suite.clients.fulfillment_feed(),
        suite.clients.shipping_feed(),
    ] {
        let first = read(client.clone(), 0).await?;
        ensure!(!first.is_empty());
        for (event, expected) in first.iter().zip(1_i64..) {
            ensure!(
                event.pos == expected,
                "position {} where {expected} was due",
                event.pos
            );
            ensure!(!event.actor.is_empty(), "nobody caused {event:?}");
            ensure!(
                event.aggregate_type == told_aggregate(&contract, event)?,
                "the contract names another aggregate than {event:?}"
            );
        }
        let mut versions: HashMap<(&str, &str), i64> = HashMap::new();
        for event in &first {
            let aggregate = (event.aggregate_type.as_str(), event.aggregate_id.as_str());
            let last = versions
                .insert(aggregate, event.aggregate_version)
                .unwrap_or_default();
            ensure!(
                event.aggregate_version == last + 1,
                "{aggregate:?} jumps from {last}"
            );
        }
        let again = read(client.clone(), 0).await?;
        ensure!(
            again.starts_with(&first),
            "the feed tells another story the second time"
        );
        let half = i64::try_from(first.len() / 2)?;
        let tail = read(client, half).await?;
        ensure!(tail.first().map(|event| event.pos) == Some(half + 1));
    }
    suite.finish().await
}
