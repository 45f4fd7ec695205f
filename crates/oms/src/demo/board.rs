//! How far things are, as the event feeds of order and returns tell it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oms_proto::events::v1::Event;
use oms_proto::order::v1::order_event::Event as OrderFact;
use oms_proto::order::v1::{Order, OrderEvent, OrderLine, OrderState, PaymentKind, PaymentState};
use oms_proto::returns::v1::returns_event::Event as ReturnFact;
use oms_proto::returns::v1::{ReturnState, ReturnsEvent};
use oms_proto::time_from_proto;
use prost::Message;
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::{World, feed};

/// What is known of one order.
#[derive(Debug, Default)]
struct Seen {
    order: Option<Order>,
    placed_at: Option<OffsetDateTime>,
    cash_at: Option<OffsetDateTime>,
    was_backordered: bool,
}

/// The board; every bot may look at it.
pub(crate) struct Board {
    expected: usize,
    state: Mutex<State>,
    completed: mpsc::UnboundedSender<Order>,
    completed_orders: Mutex<Option<mpsc::UnboundedReceiver<Order>>>,
}

#[derive(Debug, Default)]
struct State {
    orders: HashMap<String, Seen>,
    returns: HashMap<String, ReturnState>,
    all_placed: bool,
    returns_wanted: u64,
}

/// Counts at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Orders that were confirmed or refused.
    pub(crate) confirmed: u64,
    /// Orders of which everything that can ship has shipped.
    pub(crate) shipped: u64,
    /// Orders that ended, or wait for nothing but stock.
    pub(crate) cashed: u64,
    /// Returns under way.
    pub(crate) returns_open: u64,
    /// Returns that ended.
    pub(crate) returns_closed: u64,
    expected: u64,
    all_placed: bool,
}

impl Snapshot {
    /// True when nothing is left to do.
    pub(crate) fn is_settled(&self) -> bool {
        self.all_placed && self.cashed == self.expected && self.returns_open == 0
    }
}

impl Board {
    /// An empty board for so many orders.
    pub(crate) fn new(expected: usize) -> Self {
        let (completed, receiver) = mpsc::unbounded_channel();
        Self {
            expected,
            state: Mutex::default(),
            completed,
            completed_orders: Mutex::new(Some(receiver)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The board holds plain facts; one that a panicking bot left behind is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All orders were placed.
    pub(crate) fn all_placed(&self) {
        self.state().all_placed = true;
    }

    /// Completed orders as they come; for one listener.
    pub(crate) fn completed_orders(&self) -> Option<mpsc::UnboundedReceiver<Order>> {
        self.completed_orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// A customer decided to return something; the demo waits for it.
    pub(crate) fn return_wanted(&self) {
        self.state().returns_wanted += 1;
    }

    /// Counts now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.state();
        let count = |test: fn(&Order) -> bool| {
            let orders = state.orders.values().filter_map(|seen| seen.order.as_ref());
            u64::try_from(orders.filter(|order| test(order)).count()).unwrap_or_default()
        };
        let closed = state
            .returns
            .values()
            .filter(|state| **state == ReturnState::Closed)
            .count();
        let closed = u64::try_from(closed).unwrap_or_default();
        Snapshot {
            confirmed: count(|order| order.state() != OrderState::Pending),
            shipped: count(|order| ended(order) || order.lines.iter().all(is_shipped)),
            cashed: count(is_settled),
            returns_open: state.returns_wanted.saturating_sub(closed),
            returns_closed: closed,
            expected: u64::try_from(self.expected).unwrap_or(u64::MAX),
            all_placed: state.all_placed,
        }
    }

    /// Orders whose lines waited for stock at any time.
    pub(crate) fn backorders(&self) -> usize {
        self.state()
            .orders
            .values()
            .filter(|seen| seen.was_backordered)
            .count()
    }

    /// Time from placing an order to its first captured money.
    pub(crate) fn times_to_cash(&self) -> Vec<Duration> {
        let state = self.state();
        let times = state
            .orders
            .values()
            .filter_map(|seen| Some(seen.cash_at? - seen.placed_at?));
        times
            .filter_map(|time| Duration::try_from(time).ok())
            .collect()
    }

    /// What the demo still waits for, for people.
    pub(crate) fn describe_open(&self) -> String {
        let state = self.state();
        let known = state.orders.len();
        let open: Vec<String> = state
            .orders
            .values()
            .filter_map(|seen| seen.order.as_ref())
            .filter(|order| !is_settled(order))
            .map(|order| format!("{} {} {}", order.order_number, order.phase, order.saga_step))
            .collect();
        let some = open.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let returns = state.returns_wanted;
        format!(
            "{} of {known} orders are open ({some}); {returns} returns were wanted",
            open.len()
        )
    }

    fn see_order(&self, event: &Event, fact: OrderFact) {
        let at = event.occurred_at.and_then(|at| time_from_proto(at).ok());
        let mut state = self.state();
        let seen = state.orders.entry(event.aggregate_id.clone()).or_default();
        let order = match fact {
            OrderFact::OrderPlaced(placed) => {
                seen.placed_at = at;
                placed.order
            }
            OrderFact::OrderConfirmed(confirmed) => confirmed.order,
            OrderFact::OrderEnded(ended) => ended.order,
            OrderFact::OrderProgressed(progressed) => progressed.order,
            OrderFact::OrderUpdated(updated) => updated.order,
            OrderFact::PaymentSettled(settled) => {
                let is_cash = settled.payment.is_some_and(|payment| {
                    payment.kind() == PaymentKind::Capture
                        && payment.state() == PaymentState::Succeeded
                });
                if is_cash && seen.cash_at.is_none() {
                    seen.cash_at = at;
                }
                None
            }
            _ => None,
        };
        let Some(order) = order else { return };
        seen.was_backordered |= order.lines.iter().any(|line| line.backordered > 0);
        let was_completed = seen
            .order
            .as_ref()
            .is_some_and(|before| before.state() == OrderState::Completed);
        if order.state() == OrderState::Completed && !was_completed {
            // Nobody listens any more when the demo is over.
            let _ = self.completed.send(order.clone());
        }
        seen.order = Some(order);
    }
}

fn ended(order: &Order) -> bool {
    !matches!(
        order.state(),
        OrderState::Pending | OrderState::Confirmed | OrderState::Unspecified
    )
}

fn is_shipped(line: &OrderLine) -> bool {
    line.shipped + line.canceled + line.backordered >= line.ordered
}

/// Ended, or confirmed with everything delivered but what waits for stock.
fn is_settled(order: &Order) -> bool {
    let waits_for_stock = order.lines.iter().any(|line| line.backordered > 0);
    let rest_is_done = order
        .lines
        .iter()
        .all(|line| line.delivered + line.canceled + line.backordered >= line.ordered);
    ended(order) || (order.state() == OrderState::Confirmed && waits_for_stock && rest_is_done)
}

/// Keeps the board up to date with the orders.
pub(crate) async fn follow_orders(world: Arc<World>) -> anyhow::Result<()> {
    let client = world.clients.order_feed();
    feed::follow(client, "demo board", &world.done, |event| {
        if event.aggregate_type == "order"
            && let Some(fact) = OrderEvent::decode(event.payload.as_slice())?.event
        {
            world.board.see_order(event, fact);
        }
        Ok(())
    })
    .await
}

/// Keeps the board up to date with the returns.
pub(crate) async fn follow_returns(world: Arc<World>) -> anyhow::Result<()> {
    let client = world.clients.returns_feed();
    feed::follow(client, "demo board", &world.done, |event| {
        let fact = ReturnsEvent::decode(event.payload.as_slice())?.event;
        if let Some(ReturnFact::ReturnStateChanged(changed)) = fact
            && let Some(ret) = changed.return_order
        {
            world
                .board
                .state()
                .returns
                .insert(ret.return_id.clone(), ret.state());
        }
        Ok(())
    })
    .await
}
