//! An event as one line.

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use oms_proto::events::v1::Event;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Knows the events of all services.
pub(super) struct Lines {
    contract: DescriptorPool,
}

/// An event in the JSON format of CloudEvents 1.0. Names of extensions are lower case without separators, as there.
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

impl Lines {
    /// With the contract of this program.
    ///
    /// # Errors
    /// When it cannot be read, which its build makes impossible.
    pub(super) fn new() -> anyhow::Result<Self> {
        let contract = DescriptorPool::decode(oms_proto::FILE_DESCRIPTOR_SET);
        Ok(Self {
            contract: contract.context("the contract cannot be read")?,
        })
    }

    /// For machines: one JSON object.
    pub(super) fn json(&self, event: &Event) -> anyhow::Result<String> {
        let unknown = || Data::Unknown(BASE64_STANDARD.encode(&event.payload));
        let line = CloudEvent {
            specversion: "1.0",
            id: &event.id,
            source: &event.source,
            kind: &event.r#type,
            subject: subject(event),
            time: occurred_at(event)?.format(&Rfc3339)?,
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

/// For people: aligned as long as names are not unusually long.
pub(super) fn text(event: &Event) -> anyhow::Result<String> {
    let format =
        format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
    let mut line = format!(
        "{:>8}  {}  {:<29}  v{:<4}  {:<20}  {}",
        event.pos,
        occurred_at(event)?.format(format)?,
        event.r#type,
        event.aggregate_version,
        event.actor,
        subject(event)
    );
    for (name, value) in [
        ("channel", &event.channel_id),
        ("location", &event.location_id),
    ] {
        if !value.is_empty() {
            line += &format!("  {name}={value}");
        }
    }
    Ok(line)
}

fn subject(event: &Event) -> String {
    format!("{}/{}", event.aggregate_type, event.aggregate_id)
}

fn occurred_at(event: &Event) -> anyhow::Result<OffsetDateTime> {
    let at = event.occurred_at.context("an event without a time")?;
    Ok(oms_proto::time_from_proto(at)?)
}

#[cfg(test)]
mod tests {
    use oms_proto::inventory::v1::inventory_event::Event as Kind;
    use oms_proto::inventory::v1::{InventoryEvent, LowStock};
    use prost::Message;
    use time::macros::datetime;

    use super::*;

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
            occurred_at: Some(oms_proto::time_to_proto(
                datetime!(2026-03-01 10:20:30.5 UTC),
            )),
            actor: "user:alice".to_owned(),
            location_id: "west".to_owned(),
            payload: payload.encode_to_vec(),
            ..Event::default()
        }
    }

    #[test]
    fn machines_read_a_cloud_event() {
        let line = Lines::new().unwrap().json(&low_stock()).unwrap();
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
        let lines = Lines::new().unwrap();
        let mut later = low_stock();
        // A field of the oneof that is not there yet: number 500, length-delimited, empty.
        later.payload = vec![0xa2, 0x1f, 0x00];
        let line = lines.json(&later).unwrap();
        assert!(line.contains(r#""data_base64":"oh8A""#), "{line}");
        later.source = "tomorrow".to_owned();
        assert!(lines.json(&later).unwrap().contains("data_base64"));
    }

    #[test]
    fn people_read_columns() {
        assert_eq!(
            text(&low_stock()).unwrap(),
            "      12  2026-03-01 10:20:30.500  LowStock                       v4     user:alice            stock/a  location=west"
        );
    }
}
