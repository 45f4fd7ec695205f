//! Events of a feed in the JSON format of CloudEvents 1.0.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};
use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use crate::events::v1::Event;
use crate::{FILE_DESCRIPTOR_SET, TimeOutOfRange, time_from_proto};

/// Writes events of all services as CloudEvents. Make one and keep it.
#[derive(Debug, Clone)]
pub struct CloudEvents {
    contract: DescriptorPool,
}

/// An event that is no CloudEvent.
#[derive(Debug, thiserror::Error)]
pub enum CloudEventError {
    /// Every event has a time.
    #[error("an event without a time")]
    NoTime,
    /// The time cannot be written.
    #[error(transparent)]
    TimeOutOfRange(#[from] TimeOutOfRange),
    /// The time cannot be written.
    #[error(transparent)]
    Format(#[from] time::error::Format),
    /// The text cannot be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Names of extensions are lower case without separators, as CloudEvents wants them.
#[derive(Debug, Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    subject: String,
    time: String,
    position: i64,
    aggregateversion: i64,
    actor: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    traceparent: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    channelid: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    locationid: &'a str,
    #[serde(flatten)]
    data: Data,
}

/// What happened.
#[derive(Debug, Serialize)]
enum Data {
    /// The event's message as proto JSON.
    #[serde(rename = "data")]
    Message(DynamicMessage),
    /// Bytes of an event that this program's contract does not know yet.
    #[serde(rename = "data_base64")]
    Unknown(String),
}

impl CloudEvents {
    /// With the contract of this program.
    ///
    /// # Errors
    /// When it cannot be read, which its build makes impossible.
    pub fn new() -> Result<Self, prost_reflect::DescriptorError> {
        let contract = DescriptorPool::decode(FILE_DESCRIPTOR_SET)?;
        Ok(Self { contract })
    }

    /// An event as one JSON object on one line.
    pub fn json(&self, event: &Event) -> Result<String, CloudEventError> {
        let unknown = || Data::Unknown(BASE64_STANDARD.encode(&event.payload));
        let at = event.occurred_at.ok_or(CloudEventError::NoTime)?;
        let line = CloudEvent {
            specversion: "1.0",
            id: &event.id,
            source: &event.source,
            kind: &event.r#type,
            subject: format!("{}/{}", event.aggregate_type, event.aggregate_id),
            time: time_from_proto(at)?.format(&Rfc3339)?,
            position: event.pos,
            aggregateversion: event.aggregate_version,
            actor: &event.actor,
            traceparent: &event.traceparent,
            channelid: &event.channel_id,
            locationid: &event.location_id,
            data: self.message(event).map_or_else(unknown, Data::Message),
        };
        Ok(serde_json::to_string(&line)?)
    }

    /// Types of the events of a service, such as `OrderPlaced`; none when there is no such service.
    pub fn types(&self, source: &str) -> Vec<String> {
        let payload = self.payload(source);
        let fields = payload.iter().flat_map(MessageDescriptor::fields);
        let messages = fields.filter_map(|field| field.kind().as_message().cloned());
        messages.map(|message| message.name().to_owned()).collect()
    }

    /// The message inside of the payload; `None` when the contract does not know it.
    fn message(&self, event: &Event) -> Option<DynamicMessage> {
        let payload = self.payload(&event.source)?;
        let payload = DynamicMessage::decode(payload, event.payload.as_slice()).ok()?;
        let (_, value) = payload.fields().next()?;
        match value {
            Value::Message(message) => Some(message.clone()),
            _ => None,
        }
    }

    /// The message that holds every event of a service, such as `oms.order.v1.OrderEvent`.
    fn payload(&self, source: &str) -> Option<MessageDescriptor> {
        let mut name = source.to_owned();
        name.get_mut(..1)?.make_ascii_uppercase();
        self.contract
            .get_message_by_name(&format!("oms.{source}.v1.{name}Event"))
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use time::macros::datetime;

    use super::*;
    use crate::inventory::v1::inventory_event::Event as Kind;
    use crate::inventory::v1::{InventoryEvent, LowStock};

    fn low_stock() -> Event {
        let low = LowStock {
            sku: "a".to_owned(),
            available_to_promise: 3,
            low_stock_threshold: 5,
            ..LowStock::default()
        };
        let payload = InventoryEvent {
            event: Some(Kind::LowStock(low)),
        };
        Event {
            pos: 12,
            id: "one".to_owned(),
            source: "inventory".to_owned(),
            r#type: "LowStock".to_owned(),
            aggregate_type: "stock".to_owned(),
            aggregate_id: "a".to_owned(),
            aggregate_version: 4,
            occurred_at: Some(crate::time_to_proto(datetime!(2026-03-01 10:20:30.5 UTC))),
            actor: "user:alice".to_owned(),
            location_id: "west".to_owned(),
            payload: payload.encode_to_vec(),
            ..Event::default()
        }
    }

    #[test]
    fn machines_read_a_cloud_event() {
        let line = CloudEvents::new().unwrap().json(&low_stock()).unwrap();
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "specversion": "1.0",
            "id": "one",
            "source": "inventory",
            "type": "LowStock",
            "subject": "stock/a",
            "time": "2026-03-01T10:20:30.5Z",
            "position": 12,
            "aggregateversion": 4,
            "actor": "user:alice",
            "locationid": "west",
            "data": {"sku": "a", "availableToPromise": "3", "lowStockThreshold": "5"},
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn an_event_of_a_later_contract_keeps_its_bytes() {
        let events = CloudEvents::new().unwrap();
        let mut later = low_stock();
        // A field of the oneof that is not there yet: number 500, length-delimited, empty.
        later.payload = vec![0xa2, 0x1f, 0x00];
        let line = events.json(&later).unwrap();
        assert!(line.contains(r#""data_base64":"oh8A""#), "{line}");
        later.source = "tomorrow".to_owned();
        assert!(events.json(&later).unwrap().contains("data_base64"));
    }

    #[test]
    fn the_types_of_a_service_are_known() {
        let events = CloudEvents::new().unwrap();
        assert!(events.types("order").contains(&"OrderPlaced".to_owned()));
        assert!(events.types("tomorrow").is_empty());
    }
}
