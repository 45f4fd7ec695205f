//! Events of a transaction, numbered as they are made.

use oms_core::IdSource;
use oms_postgres::outbox::{self, Attributes, NewEvent};
use oms_proto::shipping::v1::shipping_event::Event;
use oms_proto::shipping::v1::{Shipment as Message, ShippingEvent};
use prost::Message as _;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::shipment::Shipment;

use super::{Error, message};

/// Collects what happened to a shipment in one transaction.
pub(super) struct Events<'a> {
    ids: &'a dyn IdSource,
    actor: &'a str,
    now: OffsetDateTime,
    events: Vec<NewEvent>,
}

impl<'a> Events<'a> {
    /// Nothing yet.
    pub(super) fn new(ids: &'a dyn IdSource, actor: &'a str, now: OffsetDateTime) -> Self {
        Self {
            ids,
            actor,
            now,
            events: Vec::new(),
        }
    }

    /// Adds an event and with it the shipment's next version. The event is made from the shipment as it
    /// is after it.
    pub(super) fn push(&mut self, shipment: &mut Shipment, make: impl FnOnce(Message) -> Event) {
        shipment.version += 1;
        let event = ShippingEvent {
            event: Some(make(message::fact(shipment))),
        };
        let channel_id = Some(shipment.channel_id.clone()).filter(|id| !id.is_empty());
        self.events.push(NewEvent {
            event_id: self.ids.next(),
            aggregate_type: "shipment",
            aggregate_id: shipment.id.to_string(),
            aggregate_version: shipment.version,
            event_type: event.event_type(),
            payload: event.encode_to_vec(),
            actor: self.actor.to_owned(),
            occurred_at: self.now,
            attributes: Attributes {
                channel_id,
                location_id: Some(shipment.location_id.to_string()),
                partner_id: None,
            },
        });
    }

    /// Publishes them with the transaction.
    pub(super) async fn append(self, conn: &mut PgConnection) -> Result<(), Error> {
        Ok(outbox::append_all(conn, &self.events).await?)
    }
}
