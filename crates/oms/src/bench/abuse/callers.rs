//! Callers that behave well: each calls at a pace of its own whatever the answers take, with a token of its own.

use std::time::Duration;

use anyhow::Context;
use oms_proto::order::v1::ListChannelsRequest;
use oms_proto::order::v1::channel_service_client::ChannelServiceClient;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use super::server::Server;
use crate::bench::figures::{Figures, Latencies};

/// Pause between two calls of a caller.
const PACE: Duration = Duration::from_millis(40);
/// Failed calls that are told.
const TOLD_MAX: usize = 5;

/// See the module.
pub(super) struct Callers(Vec<Caller>);

#[derive(Clone)]
struct Caller {
    client: ChannelServiceClient<Channel>,
    bearer: MetadataValue<Ascii>,
}

impl Callers {
    /// So many, each with a connection.
    pub(super) async fn connect(server: &Server, count: u32) -> anyhow::Result<Self> {
        let mut callers = Vec::new();
        for number in 0..count {
            let channel = Endpoint::from_shared(server.url().to_owned())?;
            let channel = channel.connect().await.context("cannot connect")?;
            callers.push(Caller {
                client: ChannelServiceClient::new(channel),
                bearer: bearer(&server.token(&format!("caller-{number}"))?)?,
            });
        }
        Ok(Self(callers))
    }

    /// All call for this time; what fails is told.
    pub(super) async fn call(
        &mut self,
        time: Duration,
        failures: &mut Vec<String>,
    ) -> anyhow::Result<Figures> {
        let begin = Instant::now();
        let mut calling = JoinSet::new();
        let count = u32::try_from(self.0.len())?.max(1);
        for (number, caller) in (0..).zip(&self.0) {
            // Spread over the pace, so that they do not come in bursts.
            let first = begin + PACE * number / count;
            calling.spawn(caller.clone().call(first, begin + time));
        }
        let mut latencies = Latencies::new()?;
        while let Some(called) = calling.join_next().await {
            let (theirs, failed) = called??;
            latencies.add(&theirs)?;
            let room = TOLD_MAX.saturating_sub(failures.len());
            failures.extend(failed.into_iter().take(room));
        }
        Ok(Figures::of(&latencies, begin.elapsed()))
    }
}

impl Caller {
    async fn call(
        mut self,
        first: Instant,
        until: Instant,
    ) -> anyhow::Result<(Latencies, Vec<String>)> {
        let (mut latencies, mut failed) = (Latencies::new()?, Vec::new());
        let mut ticks = interval_at(first, PACE);
        // Who had to wait calls at once for what it has missed: the wait counts for those calls, too.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            let due = ticks.tick().await;
            if due >= until {
                return Ok((latencies, failed));
            }
            let mut request = Request::new(ListChannelsRequest::default());
            let headers = request.metadata_mut();
            headers.insert("authorization", self.bearer.clone());
            match self.client.list_channels(request).await {
                Ok(_) => latencies.record(due.elapsed()),
                Err(status) => failed.push(format!("a caller was refused: {status}")),
            }
        }
    }
}

/// The header of this token.
pub(super) fn bearer(token: &str) -> anyhow::Result<MetadataValue<Ascii>> {
    format!("Bearer {token}").parse().context("token")
}
