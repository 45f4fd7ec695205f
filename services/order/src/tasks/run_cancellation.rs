//! Runs a cancellation: plans it, asks inventory and fulfillment, writes what came of it.
//!
//! Every answer is written down before the next question is asked, and every question has an id that
//! follows from what it asks. So a task that runs again after a crash asks its last question once more, gets
//! the same answer, and goes on.

use std::collections::HashMap;
use std::sync::Arc;

use oms_core::{CancellationId, FulfillmentOrderId, OrderId, OrderLineId, ReservationId};
use oms_postgres::{Outcome, Task, TaskError};
use oms_proto::common::v1::ErrorReason;
use oms_service::PeerError;
use sqlx::PgConnection;
use time::Duration;
use tonic::Code;

use super::{order_id_of, task_error};
use crate::changes::{self, Locked};
use crate::clients::CanceledUnits;
use crate::commands::end_cancellation;
use crate::ctx::{Ctx, request_id_for};
use crate::domain::cancellation::Cancellation;
use crate::domain::cancellation_plan::{Plan, Units, merged};
use crate::domain::release::{Release, ReleaseState};
use crate::domain::reservation::{Reservation, ReservationLine, ReservationState};
use crate::domain::state::OrderState;
use crate::error::Error;
use crate::store::{cancellation_plans, fulfillment_orders, releases, reservations};

/// While the order is not confirmed yet, its units are on their way to fulfillment, or an earlier
/// cancellation runs.
const LOOK_AGAIN: Duration = Duration::seconds(1);

/// What is to be done.
enum Begun {
    /// The task is finished.
    Over,
    /// Too early.
    Later,
    /// Ask others by this plan.
    Go(Plan),
}

/// The cancellation that the task is about.
struct Job<'a> {
    ctx: &'a Ctx,
    task: &'a Task,
    order_id: OrderId,
    id: CancellationId,
}

/// Handler of [`crate::commands::cancel_order::RUN_CANCELLATION_TASK`].
pub(crate) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let order_id = order_id_of(&task)?;
    let id = std::str::from_utf8(&task.payload)
        .map_err(|error| TaskError::Stuck(error.to_string()))?
        .parse::<CancellationId>()
        .map_err(|error| TaskError::Stuck(error.to_string()))?;
    let job = Job {
        ctx: &ctx,
        task: &task,
        order_id,
        id,
    };
    let ended = job.run().await;
    ctx.wake_sagas();
    ended
}

impl Job<'_> {
    async fn run(&self) -> Result<Outcome, TaskError> {
        let begun = self
            .ctx
            .db
            .run_tx("begin_cancellation", |tx| {
                Box::pin(async move { self.begin(tx.conn()).await })
            })
            .await
            .map_err(task_error)?;
        let mut plan = match begun {
            Begun::Over => return Ok(Outcome::AlreadyFinished),
            Begun::Later => return Ok(Outcome::RetryAt(self.ctx.now() + LOOK_AGAIN)),
            Begun::Go(plan) => plan,
        };
        while let Some(units) = plan.backordered.first().cloned() {
            let released = self.release_backordered(&units).await?;
            plan.backordered.remove(0);
            plan.released.extend(released);
            self.save(&plan).await?;
        }
        while let Some(id) = plan.ask.first().copied() {
            let canceled = self.ask(id, plan.still_wanted()).await?;
            plan.ask.remove(0);
            plan.refusals += usize::from(canceled.is_empty());
            plan.canceled.extend(canceled);
            self.save(&plan).await?;
        }
        let Some(plan) = self.take_planned_since(plan).await? else {
            return Ok(Outcome::RetryAt(self.ctx.now() + LOOK_AGAIN));
        };
        let mut copies = Vec::new();
        for (reservation_id, units) in plan.to_release() {
            copies.push(self.release(reservation_id, &units).await?);
        }
        let (plan, copies) = (&plan, copies.as_slice());
        self.ctx
            .db
            .run_tx("finish_cancellation", |tx| {
                Box::pin(async move { self.finish(tx.conn(), plan, copies).await })
            })
            .await
            .map_err(task_error)?;
        Ok(Outcome::AlreadyFinished)
    }

    async fn begin(&self, conn: &mut PgConnection) -> Result<Begun, Error> {
        let mut order = changes::lock(conn, self.order_id).await?;
        let cancellation = end_cancellation::find(&order, self.id)?;
        if !cancellation.is_open() {
            self.task.finish(conn).await?;
            return Ok(Begun::Over);
        }
        if order.state.is_final() {
            self.close(conn, &mut order, cancellation).await?;
            return Ok(Begun::Over);
        }
        let mut open = order.cancellations.iter().filter(|one| one.is_open());
        let first = open
            .next()
            .is_some_and(|one| one.cancellation_id == self.id);
        if order.state == OrderState::Pending || !first {
            return Ok(Begun::Later);
        }
        if let Some(plan) = cancellation_plans::load(conn, self.id).await? {
            return Ok(Begun::Go(plan));
        }
        let mut batches = releases::list(conn, self.order_id).await?;
        if batches
            .iter()
            .any(|batch| batch.state == ReleaseState::Sent)
        {
            return Ok(Begun::Later);
        }
        let plan = self.plan(conn, &cancellation, &mut batches).await?;
        let running = Cancellation {
            state: "IN_PROGRESS".to_owned(),
            ..cancellation
        };
        let now = self.ctx.now();
        cancellation_plans::save_cancellation(conn, &running, now).await?;
        cancellation_plans::save(conn, self.id, &plan, now).await?;
        Ok(Begun::Go(plan))
    }

    /// Plans the cancellation; units of batches that were not sent leave them in this transaction.
    async fn plan(
        &self,
        conn: &mut PgConnection,
        cancellation: &Cancellation,
        batches: &mut [Release],
    ) -> Result<Plan, Error> {
        let before = batches.to_vec();
        let held = reservations::list(conn, self.order_id).await?;
        let work = fulfillment_orders::list(conn, self.order_id).await?;
        let plan = Plan::new(&cancellation.lines, &held, batches, &work);
        self.replace(conn, &before, batches).await?;
        Ok(plan)
    }

    /// Writes the batches that lost units.
    async fn replace(
        &self,
        conn: &mut PgConnection,
        before: &[Release],
        batches: &[Release],
    ) -> Result<(), Error> {
        let changed = batches
            .iter()
            .zip(before)
            .filter(|(batch, before)| batch != before);
        for (batch, _) in changed {
            releases::replace_lines(conn, self.order_id, batch).await?;
        }
        Ok(())
    }

    /// Stock may have come for units that were to be released: their batch waits for this cancellation, and gives
    /// them up. `None` while inventory has not yet told us what it refused to release for.
    async fn take_planned_since(&self, plan: Plan) -> Result<Option<Plan>, TaskError> {
        if plan.still_wanted().is_empty() {
            return Ok(Some(plan));
        }
        let plan = &plan;
        self.ctx
            .db
            .run_tx("take_planned_since", |tx| {
                Box::pin(async move {
                    let conn = tx.conn();
                    changes::lock(conn, self.order_id).await?;
                    let before = releases::list(conn, self.order_id).await?;
                    let (mut batches, mut plan) = (before.clone(), plan.clone());
                    if plan.take_planned_since(&mut batches) {
                        self.replace(conn, &before, &batches).await?;
                        cancellation_plans::save(conn, self.id, &plan, self.ctx.now()).await?;
                    }
                    let held = reservations::list(conn, self.order_id).await?;
                    Ok::<_, Error>((!plan.is_behind(&held)).then_some(plan))
                })
            })
            .await
            .map_err(task_error)
    }

    /// Ends a cancellation of an order that has ended by itself: its saga canceled every unit, or refused it.
    async fn close(
        &self,
        conn: &mut PgConnection,
        order: &mut Locked,
        mut cancellation: Cancellation,
    ) -> Result<(), Error> {
        let canceled = order.state == OrderState::Canceled;
        let detail = format!("the order is {}", order.state.as_str());
        for line in &mut cancellation.lines {
            line.canceled = if canceled { line.quantity } else { 0 };
        }
        let (state, leg) = if canceled {
            ("COMPLETED", "DONE")
        } else {
            ("REFUSED", "REFUSED")
        };
        state.clone_into(&mut cancellation.state);
        for name in ["fulfillment", "reservation", "payment"] {
            cancellation.set_leg(name, leg, &detail);
        }
        let actor = &self.task.actor;
        end_cancellation::write_ended(conn, self.ctx, order, cancellation, actor, detail).await?;
        Ok(self.task.finish(conn).await?)
    }

    async fn save(&self, plan: &Plan) -> Result<(), TaskError> {
        self.ctx
            .db
            .run_tx("note_cancellation", |tx| {
                Box::pin(async move {
                    let now = self.ctx.now();
                    Ok::<_, Error>(cancellation_plans::save(tx.conn(), self.id, plan, now).await?)
                })
            })
            .await
            .map_err(task_error)
    }

    /// Releases units that wait for stock; fewer, or `None`, when some have got stock meanwhile.
    async fn release_backordered(&self, units: &Units) -> Result<Option<Units>, TaskError> {
        let mut units = units.clone();
        while units.quantity > 0 {
            let answer = self
                .call_release(units.reservation_id, std::slice::from_ref(&units))
                .await;
            let error = match answer {
                Ok(reservation) => {
                    self.keep(&reservation).await?;
                    return Ok(Some(units));
                }
                Err(error) => error,
            };
            if error.reason() != Some(ErrorReason::QuantityExceedsOpen) {
                return if is_refusal(&error) {
                    Ok(None)
                } else {
                    Err(error.into())
                };
            }
            let open = error
                .metadata("open")
                .and_then(|open| open.parse::<i64>().ok());
            units.quantity = open.unwrap_or_default().min(units.quantity - 1);
        }
        Ok(None)
    }

    /// Gives allocated units of a reservation back.
    async fn release(
        &self,
        reservation_id: ReservationId,
        units: &[Units],
    ) -> Result<Reservation, TaskError> {
        Ok(self.call_release(reservation_id, units).await?)
    }

    async fn call_release(
        &self,
        reservation_id: ReservationId,
        units: &[Units],
    ) -> Result<Reservation, PeerError> {
        let lines: Vec<ReservationLine> = merged(units)
            .into_iter()
            .map(|units| ReservationLine {
                order_line_id: units.order_line_id,
                location_id: units.location_id,
                lot: units.lot,
                state: ReservationState::Allocated,
                quantity: units.quantity,
            })
            .collect();
        let asked: Vec<String> = lines
            .iter()
            .map(|line| {
                let (id, at, lot) = (line.order_line_id, &line.location_id, &line.lot);
                format!("{id}@{at}/{lot}={}", line.quantity)
            })
            .collect();
        let purpose = format!("release/{reservation_id}/{}", asked.join(","));
        let request_id = request_id_for(self.id.uuid(), &purpose);
        let inventory = &self.ctx.inventory;
        let answer = inventory
            .release(request_id, reservation_id, self.order_id, &lines)
            .await?;
        Ok(answer.reservation)
    }

    /// Keeps what inventory answered; the lines are counted when the cancellation ends.
    async fn keep(&self, reservation: &Reservation) -> Result<(), TaskError> {
        self.ctx
            .db
            .run_tx("note_release", |tx| {
                Box::pin(async move {
                    let conn = tx.conn();
                    changes::lock(conn, self.order_id).await?;
                    Ok::<_, Error>(reservations::upsert(conn, reservation).await?)
                })
            })
            .await
            .map_err(task_error)?;
        Ok(())
    }

    /// Asks a fulfillment order to cancel what is still wanted; answers what it canceled.
    async fn ask(
        &self,
        id: FulfillmentOrderId,
        mut wanted: Vec<(OrderLineId, i64)>,
    ) -> Result<Vec<Units>, TaskError> {
        while !wanted.is_empty() {
            let asked: Vec<String> = wanted
                .iter()
                .map(|(line, quantity)| format!("{line}={quantity}"))
                .collect();
            let purpose = format!("fulfillment/{id}/{}", asked.join(","));
            let request_id = request_id_for(self.id.uuid(), &purpose);
            let fulfillment = &self.ctx.fulfillment;
            let answer = fulfillment
                .cancel(request_id, id, &wanted, "canceled by the customer")
                .await;
            let error = match answer {
                Ok(answer) => return self.canceled_by(answer).await,
                Err(error) => error,
            };
            let unknown = unknown_lines(&error);
            if unknown.is_empty() {
                return if is_refusal(&error) {
                    Ok(Vec::new())
                } else {
                    Err(error.into())
                };
            }
            let mut index = 0;
            wanted.retain(|_| {
                index += 1;
                !unknown.contains(&(index - 1))
            });
        }
        Ok(Vec::new())
    }

    async fn canceled_by(&self, answer: CanceledUnits) -> Result<Vec<Units>, TaskError> {
        let row = &answer.fulfillment_order;
        let states = HashMap::from([(row.fulfillment_order_id, row.state.clone())]);
        let states = &states;
        self.ctx
            .db
            .run_tx("note_fulfillment_order", |tx| {
                Box::pin(async move {
                    Ok::<_, Error>(fulfillment_orders::set_states(tx.conn(), states).await?)
                })
            })
            .await
            .map_err(task_error)?;
        Ok(answer.lines.iter().map(Units::from).collect())
    }

    /// Writes what came of it: units, legs, the event, and what follows for the money and the order.
    async fn finish(
        &self,
        conn: &mut PgConnection,
        plan: &Plan,
        copies: &[Reservation],
    ) -> Result<(), Error> {
        let mut order = changes::lock(conn, self.order_id).await?;
        for copy in copies {
            reservations::upsert(conn, copy).await?;
        }
        let all = reservations::list(conn, self.order_id).await?;
        order.set_reserved(&all);
        let actor = &self.task.actor;
        end_cancellation::end_cancellation(conn, self.ctx, &mut order, self.id, plan, actor)
            .await?;
        Ok(self.task.finish(conn).await?)
    }
}

/// True for an answer that asking again would not change.
pub(super) fn is_refusal(error: &PeerError) -> bool {
    matches!(error.code(), Code::FailedPrecondition | Code::NotFound)
        || error.reason() == Some(ErrorReason::ReferenceUnknown)
}

/// Numbers of the lines that the peer does not know.
fn unknown_lines(error: &PeerError) -> Vec<usize> {
    error
        .violations()
        .iter()
        .filter_map(|violation| {
            let rest = violation.field.strip_prefix("lines[")?;
            rest.split_once(']')?.0.parse().ok()
        })
        .collect()
}
