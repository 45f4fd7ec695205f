//! The place-order saga's driver: claims, runs a step, commits its result, goes on. `next` and `follow` of the service
//! decide. It may die at every await.

use std::rc::Rc;

use oms_core::OrderId;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::cores::order::order::{FillPolicy, HoldBlock, Order};
use crate::cores::order::release::{self, FIRST_BATCH, Release, ReleaseState};
use crate::cores::order::saga::{Next, Saga, SagaState, Step, StepResult, UndoTo, undo_from};
use crate::cores::order::state::{OrderAction, OrderState};
use crate::orders::{Orders, Row};
use crate::rooms::Rooms;
use crate::steps::{BACKOFF, Done, give_back};
use crate::stock::copied;
use crate::world::{Lost, Sabotage};

/// Time after which another driver takes a saga over.
const LEASE: Duration = Duration::seconds(20);

/// A claimed saga.
pub(crate) struct Run {
    pub(crate) rooms: Rc<Rooms>,
    holder: Uuid,
    pub(crate) saga: Saga,
    pub(crate) order: Order,
}

/// Claims due sagas and works on each; runs until it is aborted.
pub(crate) async fn drive(rooms: Rc<Rooms>) {
    loop {
        rooms.world.time_passes(1_500).await;
        if !is_any_due(&rooms) {
            continue;
        }
        let holder = rooms.world.id();
        let claimed = rooms.world.commit(|| claim(&rooms, holder)).await;
        for (saga, order) in claimed.unwrap_or_default() {
            let run = Run {
                rooms: Rc::clone(&rooms),
                holder,
                saga,
                order,
            };
            // An error leaves it to the lease.
            run.go_on().await.ok();
        }
    }
}

fn is_due(saga: &Saga, now: OffsetDateTime) -> bool {
    let runs = matches!(
        saga.state,
        SagaState::Running | SagaState::Waiting | SagaState::Undoing
    );
    runs && saga.next_run_at <= now
}

/// A look that costs nothing.
fn is_any_due(rooms: &Rooms) -> bool {
    let now = rooms.world.now();
    let orders = rooms.orders.borrow();
    orders.rows.values().any(|row| is_due(&row.saga, now))
}

fn claim(rooms: &Rooms, holder: Uuid) -> Vec<(Saga, Order)> {
    let now = rooms.world.now();
    let mut orders = rooms.orders.borrow_mut();
    let due = orders
        .rows
        .values_mut()
        .filter(|row| is_due(&row.saga, now))
        .take(2);
    due.map(|row| {
        row.holder = Some(holder);
        row.saga.attempt += 1;
        row.saga.next_run_at = now + LEASE;
        if row.saga.state == SagaState::Waiting {
            row.saga.state = SagaState::Running;
        }
        (row.saga.clone(), row.order.clone())
    })
    .collect()
}

impl Run {
    /// The order.
    pub(crate) fn id(&self) -> OrderId {
        self.order.order_id
    }

    async fn go_on(mut self) -> Result<(), Lost> {
        loop {
            let kept = if self.saga.state == SagaState::Undoing {
                self.undo().await?
            } else {
                let done = self.forward().await;
                self.commit(done).await?
            };
            if !kept {
                return Ok(());
            }
        }
    }

    /// Runs a transaction on the row while the lease is held; [`Lost`] when it is not.
    pub(crate) async fn on_row<T>(&self, work: impl FnOnce(&mut Orders) -> T) -> Result<T, Lost> {
        self.rooms.world.stall().await;
        let committed = self.rooms.world.commit(|| {
            let mut orders = self.rooms.orders.borrow_mut();
            let row = orders.rows.get(&self.id())?;
            let mine = row.holder == Some(self.holder) && row.saga.attempt == self.saga.attempt;
            if !mine && !self.rooms.world.is_sabotaged(Sabotage::NoFencing) {
                self.rooms.world.saw("result of a lost lease dropped");
                return None;
            }
            Some(work(&mut orders))
        });
        committed.await?.ok_or(Lost)
    }

    async fn forward(&self) -> Result<Done, Lost> {
        match self.saga.step {
            Step::Screen | Step::Source | Step::Confirm => Ok(Done::of(StepResult::Done)),
            Step::Reserve => self.reserve().await,
            Step::AwaitHolds => self.await_holds().await,
            Step::Authorize => self.authorize().await,
            Step::Allocate => self.allocate().await,
            Step::Release => self.release().await,
        }
    }

    /// Commits a result, or a failure; true while the lease is kept.
    async fn commit(&mut self, done: Result<Done, Lost>) -> Result<bool, Lost> {
        let step = self.saga.step;
        let seen = self.saga.signals;
        let rooms = Rc::clone(&self.rooms);
        let committed = self.on_row(|orders| {
            let now = rooms.world.now();
            let row = orders.rows.get_mut(&self.order.order_id)?;
            let mut saga = Saga {
                cancel_requested: row.saga.cancel_requested,
                signals: row.saga.signals,
                ..self.saga.clone()
            };
            match &done {
                Ok(done) => written(&rooms, row, &mut saga, done, seen),
                Err(Lost) => failed(&mut saga, now),
            }
            rooms.world.tell(
                "saga",
                format!(
                    "{} {step:?} -> {:?} {:?}",
                    self.order.order_id, saga.state, saga.step
                ),
            );
            keep(row, saga, now);
            Some((
                row.saga.clone(),
                row.order.clone(),
                row.holder == Some(self.holder),
            ))
        });
        let Some((saga, order, kept)) = committed.await? else {
            return Ok(false);
        };
        (self.saga, self.order) = (saga, order);
        Ok(kept)
    }

    async fn undo(&mut self) -> Result<bool, Lost> {
        let step = undo_from(Some(self.saga.step));
        let mut copy = None;
        match step {
            Some(Step::Authorize) => self.undo_authorize().await?,
            Some(Step::Reserve) => {
                let reservation = self.saga.reservation_id();
                let answer = self
                    .ask_stock("undo_reserve", give_back(&self.order, reservation))
                    .await?;
                copy = answer.ok().as_ref().and_then(copied);
            }
            _ => {}
        }
        let rooms = Rc::clone(&self.rooms);
        let committed = self.on_row(|orders| {
            let now = rooms.world.now();
            let row = orders.rows.get_mut(&self.order.order_id)?;
            let mut saga = Saga {
                signals: row.saga.signals,
                ..self.saga.clone()
            };
            if let Some(copy) = &copy {
                row.upsert(copy);
                row.recount();
            }
            let left = step.and_then(|step| undo_from(step.preceding()));
            match (left, saga.undo_to) {
                (Some(step), _) => saga.step = step,
                (None, Some(to)) => {
                    end(&rooms, row, to);
                    saga.state = SagaState::Done;
                }
                (None, None) => rooms
                    .world
                    .violation("an undoing saga does not know how it ends"),
            }
            keep(row, saga, now);
            Some((
                row.saga.clone(),
                row.order.clone(),
                row.holder == Some(self.holder),
            ))
        });
        let Some((saga, order, kept)) = committed.await? else {
            return Ok(false);
        };
        (self.saga, self.order) = (saga, order);
        Ok(kept)
    }
}

/// Writes the saga; its lease goes on while there is something to do now.
fn keep(row: &mut Row, saga: Saga, now: OffsetDateTime) {
    let busy = saga.is_busy(now);
    row.saga = saga;
    if busy {
        row.saga.next_run_at = now + LEASE;
    } else {
        row.holder = None;
    }
}

/// A failure: undone if that is wanted by now, else again after a pause.
fn failed(saga: &mut Saga, now: OffsetDateTime) {
    let expired = now >= saga.expires_at;
    let what_next = saga.next(&StepResult::NotYet, expired);
    if matches!(what_next, Next::Undo(..)) {
        saga.follow(what_next, None, false, now, &mut Vec::new());
    } else {
        saga.next_run_at = now + BACKOFF;
    }
}

/// Writes what a step did, and where the saga stands then.
fn written(rooms: &Rooms, row: &mut Row, saga: &mut Saga, done: &Done, seen: i64) {
    let now = rooms.world.now();
    let expired = now >= saga.expires_at;
    let mut result = done.result.clone();
    if let Some(copy) = &done.copy {
        row.upsert(copy);
        row.recount();
    }
    if let Some(batch) = &done.released {
        row.batches
            .iter_mut()
            .filter(|one| one.batch == *batch)
            .for_each(|one| one.state = ReleaseState::Released);
    }
    if done.allocates {
        result = confirm(rooms, row, saga);
    }
    if done.given_back {
        (saga.reservation_expires_at, saga.reserved_at) = (None, None);
    } else if done.expires_at.is_some() {
        saga.reservation_expires_at = done.expires_at;
        if saga.step == Step::Reserve {
            saga.reserved_at = Some(now);
        }
    } else if saga.step == Step::Reserve && result == StepResult::Done {
        // Nothing is held, all of it waits: there is nothing to extend.
        saga.reservation_expires_at = Some(saga.expires_at);
        saga.reserved_at = Some(now);
    }
    let what_next = saga.next(&result, expired);
    let ended = match &what_next {
        Next::Undo(from, to, _) if undo_from(*from).is_none() => {
            end(rooms, row, *to);
            true
        }
        _ => false,
    };
    let signalled = saga.signals != seen;
    saga.follow(what_next, done.wait_until, signalled, now, &mut Vec::new());
    if ended {
        saga.state = SagaState::Done;
    }
}

/// The pivot, unless a hold or a cancellation came meanwhile.
fn confirm(rooms: &Rooms, row: &mut Row, saga: &Saga) -> StepResult {
    if row.order.is_blocked(HoldBlock::Confirm) || saga.cancel_requested {
        return StepResult::NotYet;
    }
    if row.order.fill_policy == FillPolicy::FillAllAvailable {
        for line in &mut row.order.lines {
            let rest = line.live() - line.counters.allocated - line.counters.backordered;
            line.counters.canceled += rest.max(0);
        }
    }
    let own = row
        .copies
        .iter()
        .find(|copy| copy.reservation_id == saga.reservation_id());
    if let Some(copy) = own.cloned() {
        let batch: Release = release::of_reservation(FIRST_BATCH, &copy);
        if !batch.lines.is_empty() {
            row.batches.push(batch);
        }
        row.batched.insert(copy.reservation_id, copy.version);
    }
    row.step(&rooms.world, OrderAction::Confirm);
    StepResult::Done
}

fn end(rooms: &Rooms, row: &mut Row, to: UndoTo) {
    if row.order.state.is_final() {
        return;
    }
    let action = match to {
        UndoTo::Rejected => OrderAction::Reject,
        UndoTo::Canceled => OrderAction::Cancel,
        UndoTo::Expired => OrderAction::Expire,
    };
    row.step(&rooms.world, action);
    if row.order.state == OrderState::Canceled {
        for line in &mut row.order.lines {
            line.counters.canceled = line.ordered - line.counters.shipped;
        }
    }
}
