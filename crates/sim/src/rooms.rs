//! The rooms and who follows whose feed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use oms_core::{LocationId, Sku, derive};

use crate::cores::inventory::command::{Command, Issue, ReportShort, Units};
use crate::cores::inventory::reservation::Place as Shelf;
use crate::cores::shipping::state::ShipmentState;
use crate::floor::{Dock, Floor, FloorEvent, Moved, Returns, ShipmentEvent};
use crate::orders::Orders;
use crate::psp::Provider;
use crate::stock::Stock;
use crate::world::{Sabotage, World};

/// Pause of a consumer that has read everything.
const IDLE: Duration = Duration::from_millis(2_000);
/// Most events of a batch.
const BATCH: usize = 4;

/// A consumer's place in a feed, and the feed's length.
type Place = (Rc<Cell<usize>>, Rc<dyn Fn() -> usize>);

/// All databases and the provider.
pub(crate) struct Rooms {
    pub(crate) world: Rc<World>,
    pub(crate) stock: Rc<RefCell<Stock>>,
    pub(crate) orders: Rc<RefCell<Orders>>,
    pub(crate) floor: Rc<RefCell<Floor>>,
    pub(crate) dock: Rc<RefCell<Dock>>,
    pub(crate) returns: Rc<RefCell<Returns>>,
    pub(crate) provider: Rc<RefCell<Provider>>,
    pub(crate) skus: Vec<Sku>,
    pub(crate) locations: Vec<LocationId>,
    /// Places of the consumers in the feeds, with the feed's length.
    places: RefCell<Vec<Place>>,
    /// Reports of missing units that inventory has not answered.
    reports: Rc<Cell<usize>>,
}

impl Rooms {
    /// Empty rooms.
    pub(crate) fn new(world: &Rc<World>, skus: Vec<Sku>, locations: Vec<LocationId>) -> Rc<Self> {
        Rc::new(Self {
            world: Rc::clone(world),
            stock: Rc::new(RefCell::new(Stock::new(&skus))),
            orders: Rc::default(),
            floor: Rc::default(),
            dock: Rc::default(),
            returns: Rc::default(),
            provider: Rc::default(),
            skus,
            locations,
            places: RefCell::default(),
            reports: Rc::default(),
        })
    }

    /// True when every consumer has read everything, and everything is reported.
    pub(crate) fn all_is_read(&self) -> bool {
        let places = self.places.borrow();
        let all = places.iter().all(|(place, length)| place.get() == length());
        all && self.reports.get() == 0
    }

    /// Starts every consumer.
    pub(crate) fn follow_all(self: &Rc<Self>) {
        let orders = |rooms: &Rc<Self>| (Rc::clone(&rooms.orders), Rc::clone(&rooms.world));
        let (own, world) = orders(self);
        let feed = Rc::clone(&self.stock);
        self.follow(
            "inventory",
            Feed::of(&feed, |room| &room.feed),
            move |fact| own.borrow_mut().on_stock(&world, fact),
        );
        let (own, world) = orders(self);
        let feed = Rc::clone(&self.floor);
        self.follow(
            "fulfillment",
            Feed::of(&feed, |room| &room.feed),
            move |event| own.borrow_mut().on_floor(&world, event),
        );
        let (own, world) = orders(self);
        let feed = Rc::clone(&self.dock);
        self.follow(
            "shipping",
            Feed::of(&feed, |room| &room.feed),
            move |event: &ShipmentEvent| own.borrow_mut().on_dock(&world, &event.0),
        );
        let (own, world) = orders(self);
        let feed = Rc::clone(&self.returns);
        self.follow(
            "returns",
            Feed::of(&feed, |room| &room.feed),
            move |event| own.borrow_mut().on_returns(&world, event),
        );
        self.follow_each_other();
    }

    /// What the rooms but the order service follow.
    fn follow_each_other(self: &Rc<Self>) {
        let (own, feed) = (Rc::clone(&self.dock), Rc::clone(&self.floor));
        self.follow(
            "fulfillment",
            Feed::of(&feed, |room| &room.feed),
            move |event| own.borrow_mut().on_floor(event),
        );
        let (own, feed, world) = (
            Rc::clone(&self.floor),
            Rc::clone(&self.dock),
            Rc::clone(&self.world),
        );
        self.follow(
            "shipping",
            Feed::of(&feed, |room| &room.feed),
            move |event: &ShipmentEvent| {
                if event.0.state == ShipmentState::Shipped {
                    own.borrow_mut().ship(&world, &event.0);
                }
            },
        );
        let (own, feed, world, reports) = (
            Rc::clone(&self.stock),
            Rc::clone(&self.floor),
            Rc::clone(&self.world),
            Rc::clone(&self.reports),
        );
        self.follow(
            "fulfillment",
            Feed::of(&feed, |room| &room.feed),
            move |event| {
                if let FloorEvent::Short { id, units, .. } = event {
                    let request = format!("short/{id}");
                    report_short(&world, &own, &reports, request, units.clone());
                }
            },
        );
        let (own, feed, world) = (
            Rc::clone(&self.stock),
            Rc::clone(&self.dock),
            Rc::clone(&self.world),
        );
        self.follow(
            "shipping",
            Feed::of(&feed, |room| &room.feed),
            move |event: &ShipmentEvent| {
                if event.0.state == ShipmentState::Shipped {
                    issue(&world, &mut own.borrow_mut(), event);
                }
            },
        );
    }

    /// A consumer: reads batches from its place, applies each with the move of the place in one transaction. Batches may
    /// come twice and late.
    fn follow<E: Clone + 'static>(
        self: &Rc<Self>,
        source: &'static str,
        feed: Feed<E>,
        apply: impl Fn(&E) + 'static,
    ) {
        let place = Rc::new(Cell::new(0));
        self.places
            .borrow_mut()
            .push((Rc::clone(&place), Rc::clone(&feed.length)));
        let world = Rc::clone(&self.world);
        let apply = Rc::new(apply);
        tokio::task::spawn_local(async move {
            loop {
                // The source holds the call until there is something.
                if place.get() == (feed.length)() {
                    tokio::time::sleep(IDLE).await;
                    continue;
                }
                let from = place.get();
                let read = Rc::clone(&feed.read);
                let Ok(batch) = world.call(source, move || read(from)).await else {
                    continue;
                };
                let (place, apply) = (Rc::clone(&place), Rc::clone(&apply));
                let (ours, sabotaged) = (Rc::clone(&world), world.is_sabotaged(Sabotage::NoCursor));
                let commit = move || {
                    if place.get() != from && !sabotaged {
                        ours.saw("stale batch dropped");
                        return;
                    }
                    for event in &batch {
                        apply(event);
                    }
                    place.set(place.get().max(from + batch.len()));
                };
                // The same batch again, some time later.
                if world.below(6) == 0 {
                    let (late, again) = (Rc::clone(&world), commit.clone());
                    tokio::task::spawn_local(async move {
                        late.time_passes(3_000).await;
                        again();
                    });
                }
                // Whoever did not hear of the commit reads its place again.
                world.commit(commit).await.ok();
            }
        });
    }
}

/// The feed of a room.
struct Feed<E> {
    /// A batch from a place on.
    read: Rc<dyn Fn(usize) -> Vec<E>>,
    length: Rc<dyn Fn() -> usize>,
}

impl<E: Clone + 'static> Feed<E> {
    fn of<R: 'static>(room: &Rc<RefCell<R>>, feed: fn(&R) -> &Vec<E>) -> Self {
        let (reads, counts) = (Rc::clone(room), Rc::clone(room));
        let read = move |from| {
            feed(&reads.borrow())
                .iter()
                .skip(from)
                .take(BATCH)
                .cloned()
                .collect()
        };
        Self {
            read: Rc::new(read),
            length: Rc::new(move || feed(&counts.borrow()).len()),
        }
    }
}

fn units(moved: &Moved) -> Units {
    Units {
        order_line: moved.order_line,
        sku: None,
        place: Some(Shelf {
            location: moved.location.clone(),
            lot: String::new(),
        }),
        quantity: moved.quantity,
    }
}

/// A task of fulfillment: calls inventory until it is answered.
fn report_short(
    world: &Rc<World>,
    stock: &Rc<RefCell<Stock>>,
    open: &Rc<Cell<usize>>,
    request: String,
    moved: Moved,
) {
    open.set(open.get() + 1);
    let (world, stock, open) = (Rc::clone(world), Rc::clone(stock), Rc::clone(open));
    tokio::task::spawn_local(async move {
        loop {
            let (ours, theirs) = (Rc::clone(&world), Rc::clone(&stock));
            let (request, moved) = (request.clone(), moved.clone());
            let serve = move || short(&ours, &mut theirs.borrow_mut(), &request, &moved);
            if world.call("inventory", serve).await.is_ok() {
                open.set(open.get() - 1);
                return;
            }
        }
    });
}

fn short(world: &World, stock: &mut Stock, request: &str, moved: &Moved) {
    let command = Command::ReportShort(ReportShort {
        reservation: moved.reservation,
        units: units(moved),
        reason: "NOT_FOUND".to_owned(),
    });
    if let Err(refusal) = stock.execute(world, request, &command) {
        world.violation(format!("what was not found cannot be booked: {refusal}"));
    }
}

fn issue(world: &World, stock: &mut Stock, event: &ShipmentEvent) {
    let shipment = &event.0;
    let mut reservations: Vec<_> = shipment.units.iter().map(|unit| unit.reservation).collect();
    reservations.sort_unstable();
    reservations.dedup();
    for reservation in reservations {
        let of = |unit: &&Moved| unit.reservation == reservation;
        let command = Command::Issue(Issue {
            reservation,
            shipment: oms_core::ShipmentId::new(shipment.id),
            units: shipment.units.iter().filter(of).map(units).collect(),
        });
        let request = format!("issue/{}", derive(shipment.id, &reservation.to_string()));
        if let Err(refusal) = stock.execute(world, &request, &command) {
            world.violation(format!("what was shipped cannot be issued: {refusal}"));
        }
    }
}
