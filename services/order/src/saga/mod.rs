//! The place-order saga: source, reserve, authorize, allocate, confirm, release, or undo all of it.
//!
//! A saga is a row. Whoever works on it holds its lease: PlaceOrder for a caller who waits, else a driver
//! of any replica ([`driver`]). Several steps run in one claim; each result commits by itself and only
//! while the lease is held ([`run`]), so that a worker that slept past its lease cannot overwrite its
//! successor. What is next is decided by [`crate::domain::saga`]; what a step does stands in its own file
//! ([`steps`]). Commands record intents and signal; they never move a saga.
//!
//! Invariants: every call of a peer carries an id derived from order, step and attempt, so that running a
//! step twice is the same as once; a failure is tried again with backoff and at last left to a person
//! (STUCK); an undo that overtakes its do leaves nothing.

pub(crate) mod driver;
mod ending;
mod forward;
mod next;
mod run;
mod steps;
mod undo;

use std::sync::Arc;

use oms_core::OrderId;
use time::{Duration, OffsetDateTime};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::order::Order;
use crate::domain::saga::{Saga, SagaState, Step};
use crate::store::sagas::Lease;

use run::Run;

/// A saga for a new order.
pub(crate) fn new_saga(ctx: &Ctx, order_id: OrderId, now: OffsetDateTime, claimed: bool) -> Saga {
    Saga {
        order_id,
        step: Step::Screen,
        state: SagaState::Running,
        undo_to: None,
        undo_reason: String::new(),
        attempt: i32::from(claimed),
        failures: 0,
        next_run_at: now,
        cancel_requested: false,
        signals: 0,
        reservation_attempt: 1,
        reservation_expires_at: None,
        reserved_at: None,
        proposal: None,
        last_error: String::new(),
        stuck_since: None,
        expires_at: now + millis(ctx.config.saga.pending_most_ms),
        traceparent: oms_telemetry::TraceContext::current().into(),
        started_at: now,
    }
}

/// A lease for a worker, from now.
pub(crate) fn lease(ctx: &Ctx, holder: Uuid) -> Lease {
    Lease {
        holder,
        until: ctx.now() + millis(ctx.config.saga.lease_ms),
    }
}

/// Works in the background on a saga that was inserted with a lease of `holder`. The receiver hears when the
/// order is confirmed or ended, or when the saga has to wait; the rest goes on without the caller.
pub(crate) fn start(
    ctx: &Arc<Ctx>,
    saga: Saga,
    order: Order,
    holder: Uuid,
) -> oneshot::Receiver<Order> {
    let (told, hear) = oneshot::channel();
    let run = Run::new(saga, order, holder, Some(told));
    // A child of the caller's span: the caller waits.
    let span = run.span();
    run.spawn(ctx, span, ());
    hear
}

fn millis(millis: u64) -> Duration {
    Duration::milliseconds(i64::try_from(millis).unwrap_or(i64::MAX))
}
