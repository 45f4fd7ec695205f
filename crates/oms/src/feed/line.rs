//! An event as one line.

use anyhow::Context;
use oms_proto::events::v1::Event;
use time::OffsetDateTime;
use time::macros::format_description;

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
    fn people_read_columns() {
        assert_eq!(
            text(&low_stock()).unwrap(),
            "      12  2026-03-01 10:20:30.500  LowStock                       v4     user:alice            stock/a  location=west"
        );
    }
}
