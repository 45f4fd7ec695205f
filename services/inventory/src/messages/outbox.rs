//! Events of the service as the outbox takes them.

use std::collections::BTreeMap;

use oms_core::{IdSource, Sku};
use oms_postgres::outbox::{Attributes, NewEvent};
use time::OffsetDateTime;

use crate::domain::effect::Fact;
use crate::domain::item::Item;
use crate::domain::location::Location;
use crate::domain::told::StockFact;

use super::event;

/// Who caused an event, and when.
#[derive(Clone, Copy)]
pub(crate) struct Stamp<'a> {
    /// Where event ids come from.
    pub(crate) ids: &'a dyn IdSource,
    /// Who caused it.
    pub(crate) actor: &'a str,
    /// Time of the decision.
    pub(crate) now: OffsetDateTime,
}

impl Stamp<'_> {
    fn event(
        &self,
        aggregate_type: &'static str,
        aggregate_id: String,
        aggregate_version: i64,
        (event_type, payload): (&'static str, Vec<u8>),
    ) -> NewEvent {
        NewEvent {
            event_id: self.ids.next(),
            aggregate_type,
            aggregate_id,
            aggregate_version,
            event_type,
            payload,
            actor: self.actor.to_owned(),
            occurred_at: self.now,
            attributes: Attributes::default(),
        }
    }
}

/// What happened to reservations, in its order.
pub(crate) fn of_facts(stamp: Stamp<'_>, facts: &[Fact]) -> Vec<NewEvent> {
    let events = facts.iter().map(|fact| {
        let of = fact.reservation();
        stamp.event(
            "reservation",
            of.id.to_string(),
            of.version,
            event::fact(fact),
        )
    });
    events.collect()
}

/// What the lanes of SKUs tell. `versions` holds the numbers of the SKUs' last events before.
pub(crate) fn of_stock(
    stamp: Stamp<'_>,
    told: &BTreeMap<Sku, Vec<StockFact>>,
    versions: &BTreeMap<Sku, i64>,
) -> Vec<NewEvent> {
    let mut events = Vec::new();
    for (sku, facts) in told {
        let last = versions.get(sku).copied().unwrap_or(0);
        for (fact, version) in facts.iter().zip(last + 1..) {
            let message = event::stock_fact(sku, fact);
            let mut event = stamp.event("stock", sku.to_string(), version, message);
            event.attributes.location_id = fact.location().map(ToString::to_string);
            events.push(event);
        }
    }
    events
}

/// An event per item.
pub(crate) fn of_items(stamp: Stamp<'_>, items: &[Item]) -> Vec<NewEvent> {
    let events = items.iter().map(|item| {
        stamp.event(
            "item",
            item.sku.to_string(),
            item.version,
            event::item_upserted(item),
        )
    });
    events.collect()
}

/// The event of a location.
pub(crate) fn of_location(stamp: Stamp<'_>, location: &Location) -> NewEvent {
    let id = location.id.to_string();
    let message = event::location_upserted(location);
    let mut event = stamp.event("location", id.clone(), location.version, message);
    event.attributes.location_id = Some(id);
    event
}
