//! Following a service's event feed from its beginning.

use anyhow::Context;
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_proto::events::v1::{Event, SubscribeRequest};
use oms_service::{PeerChannel, PeerError};
use tokio_util::sync::CancellationToken;

/// Calls `handle` with every event until told to stop.
pub(crate) async fn follow(
    mut client: EventFeedServiceClient<PeerChannel>,
    consumer: &str,
    done: &CancellationToken,
    mut handle: impl FnMut(&Event) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut request = SubscribeRequest {
        consumer: consumer.to_owned(),
        ..Default::default()
    };
    loop {
        let mut batches = client
            .subscribe(request.clone())
            .await
            .context("cannot follow a feed")?
            .into_inner();
        loop {
            let batch = tokio::select! {
                () = done.cancelled() => return Ok(()),
                batch = batches.message() => batch.map_err(PeerError::from),
            };
            let batch = match batch {
                Err(error) if error.is_stream_end() => break,
                batch => batch.context("a feed broke off")?,
            };
            let batch = batch.context("a feed ended")?;
            for event in &batch.events {
                handle(event)?;
            }
            (request.epoch, request.after_pos) = (batch.epoch, batch.through_pos);
        }
    }
}
