//! How allocated units become fulfillment orders: one per location.

use std::collections::BTreeMap;

use oms_core::{
    FulfillmentOrderId, LocationId, OrderId, OrderLineId, ProposalId, ReservationId, derive,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::fulfillment_order::{Destination, FulfillmentOrder, Item, Line};
use super::policy::{FillPolicy, ServiceLevel};
use super::state::{FloorStage, State};

/// What an order tells about all of its work.
#[derive(Debug, Clone)]
pub(crate) struct OrderFacts {
    /// Order.
    pub(crate) order_id: OrderId,
    /// Order number for people.
    pub(crate) order_number: String,
    /// Channel of the order.
    pub(crate) channel_id: String,
    /// Proposal whose outcome the work is.
    pub(crate) proposal_id: Option<ProposalId>,
    /// Where the goods go.
    pub(crate) destination: Destination,
    /// How fast.
    pub(crate) service_level: ServiceLevel,
    /// Fill policy of the order.
    pub(crate) fill_policy: FillPolicy,
    /// 0 is the most urgent, 9 the least.
    pub(crate) priority: i16,
    /// Instructions for packing.
    pub(crate) instructions: String,
}

impl OrderFacts {
    /// The facts of an order, as work that is there already has them.
    pub(crate) fn of(order: &FulfillmentOrder) -> Self {
        Self {
            order_id: order.order_id,
            order_number: order.order_number.clone(),
            channel_id: order.channel_id.clone(),
            proposal_id: None,
            destination: order.destination.clone(),
            service_level: order.service_level,
            fill_policy: order.fill_policy,
            priority: order.priority,
            instructions: order.instructions.clone(),
        }
    }
}

/// Allocated units of one order line at one location.
#[derive(Debug, Clone)]
pub(crate) struct Allocation {
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// Location.
    pub(crate) location_id: LocationId,
    /// Lot; empty when none.
    pub(crate) lot: String,
    /// Units.
    pub(crate) quantity: i64,
    /// Reservation that holds them.
    pub(crate) reservation_id: ReservationId,
    /// The item.
    pub(crate) item: Item,
}

/// Makes one fulfillment order per location, by location. Ids are derived from the order, the batch
/// (a request or a short) and the location, so the same batch always makes the same ids.
pub(crate) fn create(
    facts: &OrderFacts,
    batch_id: Uuid,
    allocations: Vec<Allocation>,
    actor: &str,
    now: OffsetDateTime,
) -> Vec<FulfillmentOrder> {
    let mut by_location: BTreeMap<LocationId, Vec<Allocation>> = BTreeMap::new();
    for allocation in allocations {
        by_location
            .entry(allocation.location_id.clone())
            .or_default()
            .push(allocation);
    }
    let orders = by_location.into_iter().map(|(location_id, allocations)| {
        let id = derive(
            facts.order_id.uuid(),
            &format!("fo/{batch_id}/{location_id}"),
        );
        let lines = (1..)
            .zip(allocations)
            .map(|(number, part)| line(id, number, part));
        FulfillmentOrder {
            id: FulfillmentOrderId::new(id),
            order_id: facts.order_id,
            order_number: facts.order_number.clone(),
            channel_id: facts.channel_id.clone(),
            location_id,
            batch_id,
            proposal_id: facts.proposal_id,
            state: State::Open,
            stage: FloorStage::None,
            hold_reason: String::new(),
            destination: facts.destination.clone(),
            service_level: facts.service_level,
            fill_policy: facts.fill_policy,
            priority: facts.priority,
            instructions: facts.instructions.clone(),
            version: 1,
            event_sequence: 0,
            created_by: actor.to_owned(),
            created_at: now,
            updated_at: now,
            lines: lines.collect(),
        }
    });
    orders.collect()
}

fn line(order: Uuid, number: u32, allocation: Allocation) -> Line {
    Line {
        id: derive(order, &format!("line/{number}")),
        order_line_id: allocation.order_line_id,
        item: allocation.item,
        lot: allocation.lot,
        reservation_id: allocation.reservation_id,
        total: allocation.quantity,
        picked: 0,
        packing: 0,
        packed: 0,
        shipped: 0,
        short: 0,
        canceled: 0,
    }
}
