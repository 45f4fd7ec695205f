//! From the answer of a call to its event at a subscriber: commit, relay, feed, gRPC.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use oms_core::{IdSource, SystemIds};
use oms_proto::common::v1::FillPolicy;
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_proto::events::v1::{GetHeadRequest, SubscribeRequest, SubscribeResponse};
use oms_proto::order::v1::channel_service_client::ChannelServiceClient;
use oms_proto::order::v1::{Channel, PaymentPolicy, RoundingMode, UpsertChannelRequest};
use oms_service::{PeerChannel, PeerConfig, client};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tonic::Streaming;

use super::Plan;
use super::rig::Rig;
use crate::bench::bars::Bars;
use crate::bench::figures::{Figures, Latencies};
use crate::bench::report::Outcome;

/// An event is at the subscriber within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// When the call of a channel was answered, or its event arrived.
type Times = HashMap<String, Instant>;

/// Callers make channels, one after the other; a subscriber reads the feed.
pub(super) async fn measure(plan: &Plan, rig: &mut Rig, bars: &Bars) -> anyhow::Result<Outcome> {
    let bar = bars.add("lag", u64::from(plan.rounds));
    let service = rig.serve().await?;
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let time = Duration::from_secs(u64::from(plan.seconds));
        rounds.push(round(&service.url(), plan.callers, time).await?);
        bar.inc(1);
    }
    service.shutdown().await.context("order ended badly")?;
    bar.finish_with_message("");
    Ok(Outcome {
        name: "lag",
        says: format!("answer to event, {} callers", plan.callers),
        by: "through gRPC",
        ours: Figures::median(&rounds),
        rounds,
        events_behind: 0,
        repeated: 0,
        against: Vec::new(),
    })
}

async fn round(url: &str, callers: u32, time: Duration) -> anyhow::Result<Figures> {
    let channel = client::connect("order", &PeerConfig::new(url), "oms")?;
    let batches = subscribe(channel.clone()).await?;
    let until = Instant::now() + time;
    let mut working = JoinSet::new();
    for _ in 0..callers {
        working.spawn(call(channel.clone(), until));
    }
    let (told, total) = watch::channel(None);
    let reading = tokio::spawn(read(batches, total));
    let mut answered = Times::new();
    while let Some(times) = working.join_next().await {
        answered.extend(times??);
    }
    told.send_replace(Some(answered.len()));
    let arrived = reading.await??;
    let mut latencies = Latencies::new()?;
    for (id, at) in &answered {
        let arrived = arrived
            .get(id)
            .with_context(|| format!("no event of channel {id}"))?;
        latencies.record(arrived.saturating_duration_since(*at));
    }
    Ok(Figures::of(&latencies, time))
}

/// From the head on.
async fn subscribe(channel: PeerChannel) -> anyhow::Result<Streaming<SubscribeResponse>> {
    let mut client = EventFeedServiceClient::new(channel);
    let head = client.get_head(GetHeadRequest {}).await?.into_inner();
    let request = SubscribeRequest {
        consumer: "oms-bench".to_owned(),
        epoch: head.epoch,
        after_pos: head.pos,
        ..SubscribeRequest::default()
    };
    Ok(client.subscribe(request).await?.into_inner())
}

/// Makes channels until then, with ids of its own.
async fn call(channel: PeerChannel, until: Instant) -> anyhow::Result<Times> {
    let mut client = ChannelServiceClient::new(channel);
    let mut answered = Times::new();
    while Instant::now() < until {
        let request_id = SystemIds.next().to_string();
        let channel_id = SystemIds.next().simple().to_string();
        let channel = Channel {
            channel_id: channel_id.clone(),
            name: "Bench".to_owned(),
            currency_code: "USD".to_owned(),
            number_prefix: "B-".to_owned(),
            payment_policy: PaymentPolicy::AuthThenCaptureOnShip.into(),
            tax_rounding: RoundingMode::HalfUp.into(),
            default_fill_policy: FillPolicy::FillOrKill.into(),
            ..Channel::default()
        };
        let request = UpsertChannelRequest {
            request_id,
            channel: Some(channel),
        };
        client.upsert_channel(request).await?;
        answered.insert(channel_id, Instant::now());
    }
    Ok(answered)
}

/// Notes when events arrive, until there are as many as calls.
async fn read(
    mut batches: Streaming<SubscribeResponse>,
    mut total: watch::Receiver<Option<usize>>,
) -> anyhow::Result<Times> {
    let mut arrived = Times::new();
    while *total.borrow_and_update() != Some(arrived.len()) {
        let batch = tokio::select! {
            batch = timeout(PATIENCE, batches.message()) => batch??.context("the feed ended")?,
            told = total.changed() => {
                told?;
                continue;
            }
        };
        let now = Instant::now();
        for event in batch.events {
            ensure!(
                arrived.insert(event.aggregate_id, now).is_none(),
                "an event came twice"
            );
        }
    }
    Ok(arrived)
}
