//! A run from its first order to the audit: clients, workers, accidents.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use oms_core::{AddressId, HoldId, LocationId, OrderId, OrderLineId, Sku, derive};
use tokio::task::JoinHandle;

use crate::audit::audit;
use crate::cores::order::order::{
    Counters, FillPolicy, Hold, HoldBlock, Order, OrderLine, PaymentPolicy,
};
use crate::cores::order::pricing::Amounts;
use crate::cores::order::saga::{Saga, SagaState, Step};
use crate::cores::order::state::OrderState;
use crate::cores::order::status::MoneyFacts;
use crate::cores::order::tender::Tender;
use crate::orders::Row;
use crate::rooms::Rooms;
use crate::world::{Sabotage, World};
use crate::{driver, tasks};

/// Longest that it may take to come to rest after the last accident, in virtual time.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Age at which a pending order expires.
const PENDING_MOST: time::Duration = time::Duration::minutes(4);

/// Longest time for which no replica lives; longer than an authorization lasts.
const OUTAGE_MOST_MS: u64 = 120_000;

/// What came of a seed.
pub(crate) struct Report {
    pub(crate) seen: BTreeMap<&'static str, u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) history: Vec<String>,
}

/// Runs a seed.
pub(crate) fn run(seed: u64, sabotage: Option<Sabotage>, tells: bool) -> std::io::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let local = tokio::task::LocalSet::new();
    Ok(local.block_on(&runtime, async {
        let world = World::new(seed, sabotage, tells);
        live(&world).await;
        Report {
            seen: world.seen(),
            violations: world.violations(),
            history: world.history(),
        }
    }))
}

fn parsed<T: std::str::FromStr>(names: &[&str]) -> Vec<T> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

async fn live(world: &Rc<World>) {
    let skus: Vec<Sku> = parsed(&["A", "B"]);
    let locations: Vec<LocationId> = parsed(&["x", "y"]);
    let rooms = Rooms::new(world, skus, locations);
    for sku in &rooms.skus {
        for location in &rooms.locations {
            let units = world.between(0, 12);
            if units > 0 {
                rooms
                    .stock
                    .borrow_mut()
                    .receive(world, sku, location, units);
            }
        }
    }
    rooms.follow_all();
    let replicas: Vec<Replica> = (0..2).map(|_| Replica::start(&rooms)).collect();
    tokio::task::spawn_local(workers(Rc::clone(&rooms)));
    let accidents = tokio::task::spawn_local(accidents(Rc::clone(&rooms), replicas));
    clients(&rooms).await;
    // The replicas live on.
    let replicas = accidents.await;
    calm(&rooms);
    let rest = tokio::time::timeout(PATIENCE, until_rest(&rooms)).await;
    if rest.is_err() {
        world.violation("it never comes to rest");
    }
    audit(&rooms);
    drop(replicas);
}

/// Nothing goes wrong any more; goods for all who wait arrive, holds end.
fn calm(rooms: &Rooms) {
    rooms.world.calm_down();
    for sku in &rooms.skus {
        let location = &rooms.locations[0];
        rooms
            .stock
            .borrow_mut()
            .receive(&rooms.world, sku, location, 200);
    }
    let now = rooms.world.now();
    let mut orders = rooms.orders.borrow_mut();
    for row in orders.rows.values_mut() {
        row.order
            .holds
            .iter_mut()
            .for_each(|hold| hold.active = false);
        row.signal(now);
    }
}

/// Waits until everything has ended; a person helps with what is parked.
async fn until_rest(rooms: &Rooms) {
    loop {
        tokio::time::sleep(Duration::from_secs(20)).await;
        tasks::retry_all(rooms);
        let over = {
            let orders = rooms.orders.borrow();
            let ended = orders
                .rows
                .values()
                .all(|row| row.order.state.is_final() && row.saga.state == SagaState::Done);
            ended && orders.tasks.values().all(|task| task.is_done)
        };
        if over && rooms.all_is_read() && returns_are_over(rooms) {
            return;
        }
    }
}

fn returns_are_over(rooms: &Rooms) -> bool {
    let returns = rooms.returns.borrow();
    let lines = returns.all.iter().flat_map(|one| &one.lines);
    lines
        .into_iter()
        .all(|line| line.disposed() == line.advised)
}

/// One replica of the order service: its saga driver and its worker.
struct Replica(Vec<JoinHandle<()>>);

impl Replica {
    fn start(rooms: &Rc<Rooms>) -> Self {
        Self(vec![
            tokio::task::spawn_local(driver::drive(Rc::clone(rooms))),
            tokio::task::spawn_local(driver::drive(Rc::clone(rooms))),
            tokio::task::spawn_local(tasks::work(Rc::clone(rooms))),
            tokio::task::spawn_local(tasks::work(Rc::clone(rooms))),
        ])
    }

    /// Dies at whatever it awaits.
    fn kill(&self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

async fn accidents(rooms: Rc<Rooms>, mut replicas: Vec<Replica>) -> Vec<Replica> {
    for _ in 0..rooms.world.below(14) {
        rooms.world.time_passes(12_000).await;
        let room = [
            "inventory",
            "fulfillment",
            "shipping",
            "returns",
            "provider",
        ];
        let room = room[usize::try_from(rooms.world.below(5)).unwrap_or_default()];
        if rooms.world.below(4) == 0 {
            let time = Duration::from_millis(rooms.world.below(30_000));
            rooms.world.cut_off(room, time);
            continue;
        }
        if rooms.world.below(8) == 0 {
            outage(&rooms, &mut replicas).await;
            continue;
        }
        rooms.world.saw("crash");
        rooms.world.tell("order", "a replica dies");
        let which = usize::try_from(rooms.world.below(replicas.len() as u64)).unwrap_or_default();
        replicas[which].kill();
        rooms.world.time_passes(3_000).await;
        replicas[which] = Replica::start(&rooms);
    }
    replicas
}

/// All replicas are dead for so long that authorizations may end.
async fn outage(rooms: &Rc<Rooms>, replicas: &mut [Replica]) {
    rooms.world.saw("outage");
    rooms.world.tell("order", "all replicas die");
    replicas.iter().for_each(Replica::kill);
    rooms.world.time_passes(OUTAGE_MOST_MS).await;
    for replica in replicas {
        *replica = Replica::start(rooms);
    }
}

/// The warehouse, the carrier, the returns desk and inventory's sweeper.
async fn workers(rooms: Rc<Rooms>) {
    loop {
        rooms.world.time_passes(2_500).await;
        match rooms.world.below(5) {
            0 | 1 => rooms.floor.borrow_mut().work(&rooms.world),
            2 | 3 => rooms.dock.borrow_mut().work(&rooms.world),
            _ => rooms.returns.borrow_mut().work(&rooms.world),
        }
        rooms.stock.borrow_mut().sweep(&rooms.world);
    }
}

/// Customers and clerks: orders, holds, cancellations, returns, and now and then goods.
async fn clients(rooms: &Rc<Rooms>) {
    let world = &rooms.world;
    let mut held: Vec<OrderId> = Vec::new();
    for _ in 0..3 + world.below(6) {
        place(rooms);
        for _ in 0..=world.below(4) {
            world.time_passes(20_000).await;
            match world.below(8) {
                0 => held.extend(hold(rooms)),
                1 => cancel(rooms),
                2 => bring_back(rooms),
                3 => {
                    let sku = &rooms.skus[usize::try_from(world.below(2)).unwrap_or_default()];
                    let units = world.between(1, 5);
                    rooms
                        .stock
                        .borrow_mut()
                        .receive(world, sku, &rooms.locations[1], units);
                }
                4 => held.drain(..).for_each(|order| release_hold(rooms, order)),
                _ => {}
            }
        }
    }
    for _ in 0..6 {
        world.time_passes(20_000).await;
        bring_back(rooms);
    }
}

fn any_order(rooms: &Rooms) -> Option<OrderId> {
    let orders = rooms.orders.borrow();
    let all: Vec<OrderId> = orders.rows.keys().copied().collect();
    let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
    let which = usize::try_from(rooms.world.below(count)).ok()?;
    all.get(which).copied()
}

fn hold(rooms: &Rooms) -> Option<OrderId> {
    let id = any_order(rooms)?;
    let now = rooms.world.now();
    let mut orders = rooms.orders.borrow_mut();
    let row = orders
        .rows
        .get_mut(&id)
        .filter(|row| row.order.state == OrderState::Pending)?;
    rooms.world.saw("hold");
    rooms.world.tell("clerk", format!("holds {id}"));
    row.order.holds.push(Hold {
        hold_id: HoldId::new(rooms.world.id()),
        order_line_id: None,
        reason: "MANUAL".to_owned(),
        blocks: vec![HoldBlock::Confirm],
        active: true,
        note: String::new(),
        placed_by: String::new(),
        created_at: now,
        release_at: None,
        released_by: String::new(),
        released_at: None,
    });
    row.signal(now);
    Some(id)
}

fn release_hold(rooms: &Rooms, id: OrderId) {
    let now = rooms.world.now();
    if let Some(row) = rooms.orders.borrow_mut().rows.get_mut(&id) {
        row.order
            .holds
            .iter_mut()
            .for_each(|hold| hold.active = false);
        row.signal(now);
    }
}

fn cancel(rooms: &Rooms) {
    let now = rooms.world.now();
    let mut orders = rooms.orders.borrow_mut();
    let is_pending = |row: &&mut Row| row.order.state == OrderState::Pending;
    // The newest: its saga has just begun, and its calls may be under way.
    let pending = orders.rows.values_mut().filter(is_pending);
    let newest = pending.max_by_key(|row| row.order.created_at);
    if let Some(row) = newest {
        let id = row.order.order_id;
        rooms.world.saw("cancellation");
        rooms.world.tell("customer", format!("cancels {id}"));
        row.saga.cancel_requested = true;
        row.signal(now);
    }
}

fn bring_back(rooms: &Rooms) {
    let Some(id) = any_order(rooms) else { return };
    let mut orders = rooms.orders.borrow_mut();
    let Some(row) = orders.rows.get_mut(&id) else {
        return;
    };
    let mut units: Vec<(OrderLineId, i64)> = Vec::new();
    for line in &mut row.order.lines {
        let open = line.counters.delivered - line.counters.return_requested;
        if open > 0 {
            // Half of the time everything.
            let part = if rooms.world.below(2) == 0 {
                open
            } else {
                rooms.world.between(1, open)
            };
            line.counters.return_requested += part;
            units.push((line.order_line_id, part));
        }
    }
    if !units.is_empty() {
        rooms.returns.borrow_mut().ask(&rooms.world, id, &units);
    }
}

fn place(rooms: &Rooms) {
    let world = &rooms.world;
    let id = OrderId::new(world.id());
    let order = new_order(rooms, id);
    world.tell("customer", format!("places {id} {:?}", order.fill_policy));
    let saga = new_saga(&order);
    let row = Row {
        order,
        saga,
        holder: None,
        copies: Vec::new(),
        batches: Vec::new(),
        batched: BTreeMap::new(),
        ledger: Vec::new(),
        shipments: std::collections::BTreeSet::new(),
        delivered: std::collections::BTreeSet::new(),
        invoices: Vec::new(),
        has_bad_card: world.below(8) == 0,
    };
    rooms.orders.borrow_mut().rows.insert(id, row);
}

fn new_saga(order: &Order) -> Saga {
    Saga {
        order_id: order.order_id,
        step: Step::Screen,
        state: SagaState::Running,
        undo_to: None,
        undo_reason: String::new(),
        attempt: 0,
        failures: 0,
        next_run_at: order.created_at,
        cancel_requested: false,
        signals: 0,
        reservation_attempt: 1,
        reservation_expires_at: None,
        reserved_at: None,
        proposal: None,
        last_error: String::new(),
        stuck_since: None,
        expires_at: order.created_at + PENDING_MOST,
        traceparent: String::new(),
        started_at: order.created_at,
    }
}

/// Prices that do not divide by their units.
fn new_line(world: &World, order: OrderId, number: i32, sku: &Sku) -> OrderLine {
    let ordered = world.between(1, 7);
    let (subtotal, tax, shipping) = (
        world.between(1, 2_000),
        world.between(0, 99),
        world.between(0, 50),
    );
    OrderLine {
        order_line_id: OrderLineId::new(derive(order.uuid(), &format!("line/{number}"))),
        line_number: number,
        line_reference: String::new(),
        sku: sku.to_string(),
        name: String::new(),
        ordered,
        unit_price: 0,
        price_per: 1,
        discounts: Vec::new(),
        amounts: Amounts {
            subtotal,
            discount: 0,
            tax,
            shipping,
            total: subtotal + tax + shipping,
        },
        gift_message: String::new(),
        custom_fields: BTreeMap::new(),
        counters: Counters::default(),
    }
}

fn new_order(rooms: &Rooms, id: OrderId) -> Order {
    let world = &rooms.world;
    let lines: Vec<OrderLine> = (1..)
        .zip(&rooms.skus)
        .take(usize::try_from(world.between(1, 2)).unwrap_or(1))
        .map(|(number, sku)| new_line(world, id, number, sku))
        .collect();
    let fill_policy = match world.below(3) {
        0 => FillPolicy::FillOrKill,
        1 => FillPolicy::FillAll,
        _ => FillPolicy::FillAllAvailable,
    };
    let now = world.now();
    Order {
        order_id: id,
        order_number: String::new(),
        channel_id: "web".to_owned(),
        external_reference: String::new(),
        customer_id: String::new(),
        state: OrderState::Pending,
        state_reason: String::new(),
        // A code that is always one.
        currency: "USD"
            .parse()
            .unwrap_or_else(|_| unreachable!("USD is a currency")),
        ship_address_id: AddressId::new(id.uuid()),
        bill_address_id: AddressId::new(id.uuid()),
        country_code: "US".to_owned(),
        postal_code: String::new(),
        service_level: "GROUND".to_owned(),
        fill_policy,
        splits_max: None,
        ship_complete: false,
        priority: 5,
        instructions: String::new(),
        custom_fields: BTreeMap::new(),
        tenders: vec![Tender {
            provider: "sandbox".to_owned(),
            token: String::new(),
            amount: None,
        }],
        payment_policy: PaymentPolicy::AuthThenCaptureOnShip,
        totals: Amounts::default(),
        version: 1,
        timeline_sequence: 1,
        placed_by: String::new(),
        created_at: now,
        updated_at: now,
        deadlines: None,
        lines,
        holds: Vec::new(),
        cancellations: Vec::new(),
        money: MoneyFacts::default(),
        saga_step: String::new(),
        fulfillment_order_ids: Vec::new(),
        shipment_ids: Vec::new(),
    }
}
