//! The rooms of fulfillment, shipping and returns: their real rules move the work; tables and feeds are modelled.

use std::collections::BTreeMap;

use oms_core::{
    AddressId, FulfillmentOrderId, LocationId, OrderId, OrderLineId, ReservationId, ReturnId,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cores::fulfillment::creation::{self, Allocation, OrderFacts};
use crate::cores::fulfillment::fulfillment_order::{
    Destination, Dimensions, FulfillmentOrder, Item, Line, LineUnits,
};
use crate::cores::fulfillment::policy::{FillPolicy, ServiceLevel};
use crate::cores::order::release::ReleaseLine;
use crate::cores::returns::returns::{Disposition, RefundTiming, Return, ReturnLine, Units};
use crate::cores::returns::state::{ReturnAction, ReturnState};
use crate::cores::shipping::state::{ShipmentAction, ShipmentState};
use crate::world::World;

/// Units that left a place, or were not found there.
#[derive(Debug, Clone)]
pub(crate) struct Moved {
    pub(crate) reservation: ReservationId,
    pub(crate) order_line: OrderLineId,
    pub(crate) location: LocationId,
    pub(crate) quantity: i64,
}

/// What fulfillment tells.
#[derive(Debug, Clone)]
pub(crate) enum FloorEvent {
    /// A pack session was closed.
    Packed {
        session: Uuid,
        work: FulfillmentOrderId,
        order: OrderId,
        units: Vec<Moved>,
    },
    /// Units were not found.
    Short {
        id: Uuid,
        order: OrderId,
        units: Moved,
    },
}

/// What the fulfillment database holds.
#[derive(Default)]
pub(crate) struct Floor {
    pub(crate) works: BTreeMap<FulfillmentOrderId, FulfillmentOrder>,
    pub(crate) feed: Vec<FloorEvent>,
}

impl Floor {
    /// Creates the work for a batch, once; answers its ids.
    pub(crate) fn create(
        &mut self,
        world: &World,
        order: OrderId,
        batch: Uuid,
        lines: &[ReleaseLine],
    ) -> Vec<FulfillmentOrderId> {
        let allocations = lines.iter().filter_map(|line| {
            Some(Allocation {
                order_line_id: line.order_line_id,
                location_id: line.location_id.parse().ok()?,
                lot: String::new(),
                quantity: line.quantity,
                reservation_id: line.reservation_id,
                item: item(),
            })
        });
        let facts = facts(order);
        let created = creation::create(&facts, batch, allocations.collect(), "order", world.now());
        let ids = created.iter().map(|one| one.id).collect();
        for one in created {
            self.works.entry(one.id).or_insert(one);
        }
        ids
    }

    /// One turn of a worker at one fulfillment order: picks, packs, and now and then does not find something.
    pub(crate) fn work(&mut self, world: &World) {
        let open: Vec<FulfillmentOrderId> = self
            .works
            .values()
            .filter(|one| !one.state.is_final() && one.sum(Line::to_pick) > 0)
            .map(|one| one.id)
            .collect();
        if open.is_empty() {
            return;
        }
        let turn = usize::try_from(world.below(open.len() as u64)).unwrap_or_default();
        let Some(work) = self.works.get_mut(&open[turn]) else {
            return;
        };
        // It may be on the floor already.
        work.release_to_floor().ok();
        let lines: Vec<(Uuid, i64)> = work
            .lines
            .iter()
            .map(|line| (line.id, line.to_pick()))
            .collect();
        for (line_id, open) in lines.into_iter().filter(|(_, open)| *open > 0) {
            let short = if world.below(12) == 0 {
                world.between(1, open)
            } else {
                0
            };
            if short > 0 {
                world.saw("short");
                let units = LineUnits {
                    line_id,
                    quantity: short,
                };
                refused(world, work.report_short(units));
                let told = moved(work, units);
                world.tell(
                    "floor",
                    format!("{short} not found for order {}", work.order_id),
                );
                self.feed.extend(told.map(|units| FloorEvent::Short {
                    id: world.id(),
                    order: work.order_id,
                    units,
                }));
            }
            // Half of the time a part of it, so that an order ships in several parcels.
            let most = open - short;
            if most > 0 {
                let quantity = if world.below(2) == 0 {
                    most
                } else {
                    world.between(1, most)
                };
                refused(world, work.pick(LineUnits { line_id, quantity }));
            }
        }
        pack(world, work, &mut self.feed);
    }

    /// Counts what left.
    pub(crate) fn ship(&mut self, world: &World, shipment: &Shipment) {
        let Some(work) = self.works.get_mut(&shipment.work) else {
            world.violation(format!("a shipment of no work {}", shipment.work));
            return;
        };
        let units = shipment.units.iter().filter_map(|unit| {
            let line = work.lines.iter().find(|line| {
                line.order_line_id == unit.order_line && line.reservation_id == unit.reservation
            });
            Some(LineUnits {
                line_id: line?.id,
                quantity: unit.quantity,
            })
        });
        let units: Vec<LineUnits> = units.collect();
        refused(world, work.ship(&units));
    }
}

/// Packs all that is picked into one session.
fn pack(world: &World, work: &mut FulfillmentOrder, feed: &mut Vec<FloorEvent>) {
    let picked: Vec<LineUnits> = work
        .lines
        .iter()
        .map(|line| LineUnits {
            line_id: line.id,
            quantity: line.to_pack(),
        })
        .filter(|units| units.quantity > 0)
        .collect();
    if picked.is_empty() {
        return;
    }
    refused(world, work.open_pack_session());
    let all = picked.iter().map(|units| units.quantity).sum();
    refused(world, work.pack("item", all));
    work.end_pack_session(true);
    feed.push(FloorEvent::Packed {
        session: world.id(),
        work: work.id,
        order: work.order_id,
        units: picked
            .into_iter()
            .filter_map(|units| moved(work, units))
            .collect(),
    });
}

fn moved(work: &FulfillmentOrder, units: LineUnits) -> Option<Moved> {
    let line = work.line(units.line_id)?;
    Some(Moved {
        reservation: line.reservation_id,
        order_line: line.order_line_id,
        location: work.location_id.clone(),
        quantity: units.quantity,
    })
}

/// What the worker does is always legal.
fn refused<T, E: std::fmt::Debug>(world: &World, result: Result<T, E>) {
    if let Err(refusal) = result {
        world.violation(format!("fulfillment refuses its own worker: {refusal:?}"));
    }
}

fn item() -> Item {
    Item {
        sku: "item".to_owned(),
        name: String::new(),
        barcodes: Vec::new(),
        mass_grams: 1,
        dimensions: Dimensions {
            length_mm: 1,
            width_mm: 1,
            height_mm: 1,
        },
        version: 1,
    }
}

fn facts(order: OrderId) -> OrderFacts {
    OrderFacts {
        order_id: order,
        order_number: String::new(),
        channel_id: "web".to_owned(),
        proposal_id: None,
        destination: Destination {
            address_id: AddressId::new(order.uuid()),
            country_code: "US".to_owned(),
            postal_code: "1".to_owned(),
        },
        service_level: ServiceLevel::Ground,
        fill_policy: FillPolicy::FillAll,
        priority: 5,
        instructions: String::new(),
    }
}

/// A parcel.
#[derive(Debug, Clone)]
pub(crate) struct Shipment {
    pub(crate) id: Uuid,
    pub(crate) order: OrderId,
    pub(crate) work: FulfillmentOrderId,
    pub(crate) state: ShipmentState,
    pub(crate) units: Vec<Moved>,
}

/// What shipping tells: the shipment as it is after the change.
#[derive(Debug, Clone)]
pub(crate) struct ShipmentEvent(pub(crate) Shipment);

/// What the shipping database holds.
#[derive(Default)]
pub(crate) struct Dock {
    pub(crate) shipments: BTreeMap<Uuid, Shipment>,
    pub(crate) feed: Vec<ShipmentEvent>,
}

impl Dock {
    /// A closed pack session becomes a shipment, once.
    pub(crate) fn on_floor(&mut self, event: &FloorEvent) {
        let FloorEvent::Packed {
            session,
            work,
            order,
            units,
        } = event
        else {
            return;
        };
        self.shipments.entry(*session).or_insert(Shipment {
            id: *session,
            order: *order,
            work: *work,
            state: ShipmentState::Draft,
            units: units.clone(),
        });
    }

    /// One step of one shipment.
    pub(crate) fn work(&mut self, world: &World) {
        let open: Vec<Uuid> = self
            .shipments
            .values()
            .filter(|one| one.state != ShipmentState::Delivered)
            .map(|one| one.id)
            .collect();
        if open.is_empty() {
            return;
        }
        let turn = usize::try_from(world.below(open.len() as u64)).unwrap_or_default();
        let Some(shipment) = self.shipments.get_mut(&open[turn]) else {
            return;
        };
        let action = match shipment.state {
            ShipmentState::Draft => ShipmentAction::LabelPurchased,
            ShipmentState::Labeled if world.below(4) == 0 => ShipmentAction::FirstScan,
            ShipmentState::Labeled => ShipmentAction::ConfirmShip,
            ShipmentState::Shipped => ShipmentAction::AllDelivered,
            _ => return,
        };
        match shipment.state.after(action) {
            Some(state) => shipment.state = state,
            None => world.violation(format!("a shipment {:?} cannot {action:?}", shipment.state)),
        }
        if shipment.state != ShipmentState::Labeled {
            world.tell(
                "shipping",
                format!("order {} {:?}", shipment.order, shipment.state),
            );
            self.feed.push(ShipmentEvent(shipment.clone()));
        }
    }
}

/// What returns tell: units whose refund point is reached.
#[derive(Debug, Clone)]
pub(crate) struct RefundTriggered {
    pub(crate) id: Uuid,
    pub(crate) order: OrderId,
    pub(crate) units: Vec<(OrderLineId, i64)>,
}

/// What the returns database holds.
#[derive(Default)]
pub(crate) struct Returns {
    pub(crate) all: Vec<Return>,
    pub(crate) feed: Vec<RefundTriggered>,
}

impl Returns {
    /// A customer sends units back.
    pub(crate) fn ask(&mut self, world: &World, order: OrderId, units: &[(OrderLineId, i64)]) {
        world.saw("return");
        let mut one = new_return(world.id(), order, units, world.now());
        if let Err(refusal) = one.step(ReturnAction::Authorize, "authorize") {
            world.violation(format!("a return cannot begin: {refusal:?}"));
        }
        self.all.push(one);
    }

    /// One step of one return.
    pub(crate) fn work(&mut self, world: &World) {
        let open: Vec<usize> = (0..self.all.len())
            .filter(|at| self.all[*at].state != ReturnState::Closed)
            .filter(|at| {
                self.all[*at]
                    .lines
                    .iter()
                    .any(|line| line.disposed() < line.advised)
            })
            .collect();
        if open.is_empty() {
            return;
        }
        let turn = usize::try_from(world.below(open.len() as u64)).unwrap_or_default();
        let one = &mut self.all[open[turn]];
        let part = |open: fn(&ReturnLine) -> i64| {
            one.lines
                .iter()
                .find(|line| open(line) > 0)
                .map(|line| Units {
                    return_line_id: line.return_line_id,
                    quantity: world.between(1, open(line)),
                })
        };
        let result = if let Some(part) = part(|line| line.advised - line.received) {
            one.receive(&[part])
        } else if let Some(part) = part(|line| line.received - line.inspected) {
            one.inspect(&[(part, "SELLABLE".to_owned(), false)])
        } else if let Some(part) = part(|line| line.inspected - line.disposed()) {
            one.dispose(&[(part, Disposition::Restock)])
        } else {
            return;
        };
        if let Err(refusal) = result {
            world.violation(format!("returns refuse their own worker: {refusal:?}"));
        }
        let due = one.trigger_refund();
        if due.is_empty() {
            return;
        }
        let units = due.iter().map(|part| (part.order_line_id, part.quantity));
        self.feed.push(RefundTriggered {
            id: world.id(),
            order: one.order_id,
            units: units.collect(),
        });
    }
}

fn new_return(
    id: Uuid,
    order: OrderId,
    units: &[(OrderLineId, i64)],
    now: OffsetDateTime,
) -> Return {
    let line = |(number, (order_line_id, advised)): (i32, &(OrderLineId, i64))| ReturnLine {
        return_line_id: oms_core::derive(id, &format!("line/{number}")),
        line_number: number,
        order_line_id: *order_line_id,
        sku: String::new(),
        name: String::new(),
        reason: String::new(),
        condition: String::new(),
        advised: *advised,
        received: 0,
        inspected: 0,
        restocked: 0,
        quarantined: 0,
        scrapped: 0,
        refund_triggered: 0,
        refund_paid: 0,
        refund_denied: 0,
    };
    Return {
        return_id: ReturnId::new(id),
        order_id: order,
        order_number: String::new(),
        channel_id: "web".to_owned(),
        state: ReturnState::Requested,
        refund_timing: RefundTiming::OnReceipt,
        // A location's name that is always one.
        location_id: "x"
            .parse()
            .unwrap_or_else(|_| unreachable!("x is a location")),
        origin_address_id: String::new(),
        origin_country_code: String::new(),
        origin_postal_code: String::new(),
        shipment_id: None,
        tracking_number: String::new(),
        currency: "USD".to_owned(),
        refunded: 0,
        reason: String::new(),
        version: 1,
        requested_by: String::new(),
        created_at: now,
        updated_at: now,
        lines: (1..).zip(units).map(line).collect(),
    }
}
