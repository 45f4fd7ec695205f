//! What is sent: an event of the feed as a CloudEvent in JSON, as `oms feed tail --json` prints it.

use oms_postgres::feed::FeedEvent;
use oms_proto::events::v1::Event;
use oms_proto::{CloudEventError, time_to_proto};

use super::{SOURCE, Webhooks};

impl Webhooks {
    /// The body of an event.
    pub(super) fn body(&self, event: FeedEvent) -> Result<String, CloudEventError> {
        self.events.json(&Event {
            pos: event.pos,
            id: event.event_id.to_string(),
            source: SOURCE.to_owned(),
            r#type: event.event_type,
            aggregate_type: event.aggregate_type,
            aggregate_id: event.aggregate_id,
            aggregate_version: event.aggregate_version,
            occurred_at: Some(time_to_proto(event.occurred_at)),
            actor: event.actor,
            traceparent: event.traceparent,
            channel_id: event.channel_id.unwrap_or_default(),
            location_id: event.location_id.unwrap_or_default(),
            payload: event.payload,
        })
    }
}
