//! What the order database holds, and the transactions of the order service on it. What they decide is decided by the
//! service's own rules; what they write is modelled.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{OrderId, PaymentId, ReservationId, derive};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::cores::inventory::effect::Fact;
use crate::cores::order::capture;
use crate::cores::order::order::{Counters, Order};
use crate::cores::order::payment::{Answer, Payment, PaymentKind, PaymentState};
use crate::cores::order::refund::part_cause;
use crate::cores::order::release::{Release, ReleaseLine, ReleaseState};
use crate::cores::order::renewal::due_at;
use crate::cores::order::reservation::Reservation;
use crate::cores::order::saga::{Saga, SagaState, Step};
use crate::cores::order::settlement::{Settlement, settlement};
use crate::cores::order::state::{OrderAction, OrderState};
use crate::cores::order::status::MoneyFacts;
use crate::floor::{FloorEvent, Moved, RefundTriggered, Shipment};
use crate::stock::copied;
use crate::world::World;

use crate::cores::shipping::state::ShipmentState;

/// So long before its end an authorization is renewed.
const RENEW_BEFORE: Duration = Duration::seconds(30);

/// What is done later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    /// Capture what is planned for this cause.
    Capture(String),
    /// Renew this authorization.
    Renew(PaymentId),
    /// Give up what is left of the authorizations.
    Void,
    /// Pay this much back for this cause.
    Refund(String, i64),
}

/// A leased row of work.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) order: OrderId,
    pub(crate) work: Work,
    pub(crate) run_at: OffsetDateTime,
    pub(crate) holder: Option<Uuid>,
    pub(crate) is_done: bool,
    pub(crate) is_stuck: bool,
}

/// An order with everything that belongs to it.
pub(crate) struct Row {
    pub(crate) order: Order,
    pub(crate) saga: Saga,
    pub(crate) holder: Option<Uuid>,
    pub(crate) copies: Vec<Reservation>,
    pub(crate) batches: Vec<Release>,
    pub(crate) batched: BTreeMap<ReservationId, i64>,
    pub(crate) ledger: Vec<Payment>,
    pub(crate) shipments: BTreeSet<Uuid>,
    pub(crate) delivered: BTreeSet<Uuid>,
    /// Shipment causes with what they cost.
    pub(crate) invoices: Vec<(String, i64)>,
    /// Authorizations are declined until somebody helps.
    pub(crate) has_bad_card: bool,
}

/// What the order database holds.
#[derive(Default)]
pub(crate) struct Orders {
    pub(crate) rows: BTreeMap<OrderId, Row>,
    pub(crate) tasks: BTreeMap<Uuid, Task>,
}

/// A payment to be written down.
pub(crate) struct NewPayment<'a> {
    pub(crate) kind: PaymentKind,
    pub(crate) amount: i64,
    pub(crate) parent: Option<PaymentId>,
    pub(crate) cause: &'a str,
    pub(crate) state: PaymentState,
}

impl Row {
    /// Writes a payment, or answers the one that is there for the same kind and cause.
    pub(crate) fn plan(&mut self, new: &NewPayment<'_>, now: OffsetDateTime) -> Payment {
        let of = |one: &&Payment| one.kind == new.kind && one.cause == new.cause;
        if let Some(known) = self.ledger.iter().find(of) {
            return known.clone();
        }
        let name = format!("payment/{}/{}", new.kind.as_str(), new.cause);
        let payment = Payment {
            payment_id: PaymentId::new(derive(self.order.order_id.uuid(), &name)),
            order_id: self.order.order_id,
            kind: new.kind,
            state: new.state,
            amount: new.amount,
            currency: self.order.currency,
            tender: 1,
            provider: "sandbox".to_owned(),
            provider_reference: String::new(),
            parent_payment_id: new.parent,
            cause: new.cause.to_owned(),
            failure_code: String::new(),
            expires_at: None,
            actor: String::new(),
            created_at: now,
            updated_at: now,
        };
        self.ledger.push(payment.clone());
        payment
    }

    /// A payment of the ledger.
    pub(crate) fn payment(&self, id: PaymentId) -> Option<&Payment> {
        self.ledger.iter().find(|one| one.payment_id == id)
    }

    /// Changes a payment that is not settled; false when it is.
    pub(crate) fn set(
        &mut self,
        id: PaymentId,
        from: &[PaymentState],
        to: PaymentState,
        now: OffsetDateTime,
    ) -> bool {
        let is_it = |one: &&mut Payment| one.payment_id == id && from.contains(&one.state);
        let Some(payment) = self.ledger.iter_mut().find(is_it) else {
            return false;
        };
        payment.state = to;
        payment.updated_at = now;
        true
    }

    fn count_money(&mut self) {
        let sum = |kind| -> i64 {
            let done = |one: &&Payment| one.kind == kind && one.state == PaymentState::Succeeded;
            self.ledger.iter().filter(done).map(|one| one.amount).sum()
        };
        self.order.money = MoneyFacts::from_sums(&[
            sum(PaymentKind::Authorization),
            sum(PaymentKind::Capture),
            sum(PaymentKind::Void),
            sum(PaymentKind::Refund),
        ]);
    }

    /// Changes the order's state by its table.
    pub(crate) fn step(&mut self, world: &World, action: OrderAction) {
        match self.order.state.after(action) {
            Some(state) => {
                world.tell(
                    "order",
                    format!(
                        "{} {:?} -> {state:?}",
                        self.order.order_id, self.order.state
                    ),
                );
                self.order.state = state;
            }
            None => world.violation(format!("an order {:?} cannot {action:?}", self.order.state)),
        }
    }

    /// Something happened outside.
    pub(crate) fn signal(&mut self, now: OffsetDateTime) {
        self.saga.signals += 1;
        if self.saga.state == SagaState::Waiting {
            self.saga.state = SagaState::Running;
            self.saga.next_run_at = now;
        }
    }

    /// Keeps a reservation as inventory tells it; false when the copy is as new.
    pub(crate) fn upsert(&mut self, one: &Reservation) -> bool {
        let known = self
            .copies
            .iter_mut()
            .find(|copy| copy.reservation_id == one.reservation_id);
        match known {
            Some(copy) if copy.version >= one.version => return false,
            Some(copy) => copy.clone_from(one),
            None => self.copies.push(one.clone()),
        }
        true
    }

    /// Counts the lines by all copies.
    pub(crate) fn recount(&mut self) {
        self.order.set_reserved(&self.copies);
    }
}

impl Orders {
    /// Inserts work unless its id is there.
    pub(crate) fn insert(&mut self, id: Uuid, order: OrderId, work: Work, run_at: OffsetDateTime) {
        self.tasks.entry(id).or_insert(Task {
            order,
            work,
            run_at,
            holder: None,
            is_done: false,
            is_stuck: false,
        });
    }

    /// Writes a provider's answer once, and schedules the renewal of an authorization.
    pub(crate) fn record(&mut self, world: &World, order: OrderId, id: PaymentId, answer: &Answer) {
        let now = world.now();
        let Some(row) = self.rows.get_mut(&order) else {
            return;
        };
        let Some(payment) = row.ledger.iter_mut().find(|one| one.payment_id == id) else {
            return;
        };
        if payment.state.is_settled() {
            return;
        }
        payment.updated_at = now;
        match answer {
            Answer::Approved {
                reference,
                expires_at,
            } => {
                payment.state = PaymentState::Succeeded;
                payment.provider_reference.clone_from(reference);
                payment.expires_at =
                    expires_at.filter(|_| payment.kind == PaymentKind::Authorization);
            }
            Answer::Declined { code } => {
                payment.state = PaymentState::Failed;
                payment.failure_code.clone_from(code);
            }
        }
        let settled = payment.clone();
        world.tell(
            "order",
            format!(
                "{order} {:?} {} {:?} {}",
                settled.kind, settled.amount, settled.state, settled.cause
            ),
        );
        row.count_money();
        if let Some(end) = settled.expires_at {
            let due = due_at(settled.created_at, end, RENEW_BEFORE);
            self.insert(derive(id.uuid(), "renew"), order, Work::Renew(id), due);
        }
    }

    /// Ends an order that has nothing left to do.
    pub(crate) fn settle(&mut self, world: &World, order: OrderId) {
        let Some(row) = self.rows.get_mut(&order) else {
            return;
        };
        match settlement(&row.order, &row.ledger) {
            Settlement::Open => return,
            Settlement::Complete => row.step(world, OrderAction::Complete),
            Settlement::Cancel => row.step(world, OrderAction::Cancel),
        }
        if row.order.money.authorized > 0 {
            self.insert(derive(order.uuid(), "void"), order, Work::Void, world.now());
        }
    }

    /// What inventory told.
    pub(crate) fn on_stock(&mut self, world: &World, fact: &Fact) {
        let Some(copy) = copied(fact.reservation()) else {
            return;
        };
        let now = world.now();
        let Some(row) = self.rows.get_mut(&copy.order_id) else {
            return;
        };
        match fact {
            Fact::Changed { .. } => {
                if row.upsert(&copy) && row.order.state != OrderState::Pending {
                    row.recount();
                }
            }
            Fact::BackorderAllocated { allocated, .. } => {
                row.upsert(&copy);
                row.recount();
                let batched = row
                    .batched
                    .get(&copy.reservation_id)
                    .copied()
                    .unwrap_or_default();
                if row.order.state != OrderState::Confirmed || copy.version <= batched {
                    return;
                }
                let batch = format!("backorder/{}/{}", copy.reservation_id, copy.version);
                if row.batches.iter().any(|one| one.batch == batch) {
                    return;
                }
                world.saw("backorder filled");
                let lines = allocated.iter().map(|part| ReleaseLine {
                    reservation_id: copy.reservation_id,
                    order_line_id: part.order_line,
                    location_id: part.location.to_string(),
                    lot: part.lot.clone(),
                    quantity: part.quantity,
                });
                row.batches.push(Release {
                    batch,
                    state: ReleaseState::Planned,
                    lines: lines.collect(),
                });
                row.saga.signals += 1;
                if row.saga.state == SagaState::Done {
                    row.saga.state = SagaState::Running;
                    row.saga.step = Step::Release;
                    row.saga.next_run_at = now;
                } else if row.saga.state == SagaState::Waiting {
                    row.saga.state = SagaState::Running;
                    row.saga.next_run_at = now;
                }
            }
        }
    }

    /// Units were not found: they are canceled.
    pub(crate) fn on_floor(&mut self, world: &World, event: &FloorEvent) {
        let FloorEvent::Short { order, units, .. } = event else {
            return;
        };
        if let Some(row) = self.rows.get_mut(order) {
            count(row, std::slice::from_ref(units), |counters, quantity| {
                counters.canceled += quantity;
            });
            self.settle(world, *order);
        }
    }

    /// A shipment was handed over or delivered.
    pub(crate) fn on_dock(&mut self, world: &World, shipment: &Shipment) {
        match shipment.state {
            ShipmentState::Shipped => self.shipped(world, shipment),
            ShipmentState::Delivered => self.delivered(world, shipment),
            _ => {}
        }
    }

    fn shipped(&mut self, world: &World, shipment: &Shipment) {
        let (order, now) = (shipment.order, world.now());
        let Some(row) = self.rows.get_mut(&order) else {
            return;
        };
        if !row.shipments.insert(shipment.id) {
            return;
        }
        let mut cost = 0;
        for unit in &shipment.units {
            if let Some(line) = row.order.line(unit.order_line) {
                let from = line.counters.shipped;
                cost += line.part(from, from + unit.quantity).total;
            }
            count(row, std::slice::from_ref(unit), |counters, quantity| {
                counters.shipped += quantity;
            });
        }
        let base = format!("shipment/{}", shipment.id);
        row.invoices.push((base.clone(), cost));
        if cost == 0 {
            return;
        }
        let ledger = row.ledger.clone();
        for (number, (from, part)) in capture::draw(cost, &ledger, &[]).into_iter().enumerate() {
            let new = NewPayment {
                kind: PaymentKind::Capture,
                amount: part,
                parent: from.map(|one| one.payment_id),
                cause: &part_cause(&base, number),
                state: PaymentState::Initiated,
            };
            row.plan(&new, now);
        }
        self.insert(derive(order.uuid(), &base), order, Work::Capture(base), now);
    }

    fn delivered(&mut self, world: &World, shipment: &Shipment) {
        let Some(row) = self.rows.get_mut(&shipment.order) else {
            return;
        };
        if row.delivered.insert(shipment.id) {
            count(row, &shipment.units, |counters, quantity| {
                counters.delivered += quantity;
            });
            self.settle(world, shipment.order);
        }
    }

    /// Units of a return are to be paid back: the first that were not.
    pub(crate) fn on_returns(&mut self, world: &World, event: &RefundTriggered) {
        let id = derive(event.id, "refund");
        let Some(row) = self
            .rows
            .get_mut(&event.order)
            .filter(|_| !self.tasks.contains_key(&id))
        else {
            return;
        };
        let mut amount = 0;
        for (line_id, quantity) in &event.units {
            let line = row
                .order
                .lines
                .iter_mut()
                .find(|line| line.order_line_id == *line_id);
            if let Some(line) = line {
                let from = line.counters.refunded;
                amount += line.part(from, from + quantity).total;
                line.counters.refunded += quantity;
            }
        }
        let work = Work::Refund(format!("return/{}", event.id), amount);
        self.insert(id, event.order, work, world.now());
    }
}

fn count(row: &mut Row, units: &[Moved], add: fn(&mut Counters, i64)) {
    for unit in units {
        let line = row
            .order
            .lines
            .iter_mut()
            .find(|line| line.order_line_id == unit.order_line);
        if let Some(line) = line {
            add(&mut line.counters, unit.quantity);
        }
    }
}
