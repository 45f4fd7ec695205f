//! Where a saga stands after a result: the pure decision, written into the row.

use std::time::Duration;

use time::OffsetDateTime;

use super::driver;
use crate::ctx::Ctx;
use crate::domain::saga::{Next, Saga, SagaState, Step, undo_from};

/// Reservations that a saga makes before a person has to look.
const RESERVATIONS_MOST: i32 = 50;

/// Step, outcome and details, as the ledger keeps them.
pub(super) type Entry = (Step, &'static str, String);

pub(super) fn stamp_stuck(saga: &mut Saga, now: OffsetDateTime) {
    saga.stuck_since = (saga.state == SagaState::Stuck).then_some(now);
}

/// A saga is kept while there is something to do for it now.
pub(super) fn keeps_lease(saga: &Saga, now: OffsetDateTime) -> bool {
    matches!(saga.state, SagaState::Running | SagaState::Undoing) && saga.next_run_at <= now
}

/// Moves the saga to what is next.
pub(super) fn follow(
    ctx: &Ctx,
    saga: &mut Saga,
    what_next: Next,
    wait_until: Option<OffsetDateTime>,
    signalled: bool,
    ledger: &mut Vec<Entry>,
) {
    let now = ctx.now();
    saga.next_run_at = now;
    saga.state = SagaState::Running;
    match what_next {
        Next::Run(step) => {
            saga.step = step;
            saga.failures = 0;
            ledger.push((step, "STARTED", String::new()));
        }
        // What happened meanwhile may be what it waits for.
        Next::Wait(step) if signalled => saga.step = step,
        Next::Wait(step) => {
            saga.step = step;
            saga.failures = 0;
            if let Some(until) = wait_until {
                saga.state = SagaState::Waiting;
                saga.next_run_at = until;
            }
        }
        Next::ReserveAgain => {
            saga.step = Step::Reserve;
            saga.reservation_attempt += 1;
            saga.reservation_expires_at = None;
            saga.reserved_at = None;
            if saga.reservation_attempt > RESERVATIONS_MOST {
                saga.state = SagaState::Stuck;
                "reservations are lost again and again".clone_into(&mut saga.last_error);
            }
            ledger.push((Step::Reserve, "STARTED", String::new()));
        }
        Next::Undo(from, to, reason) => {
            saga.undo_to = Some(to);
            saga.undo_reason = reason;
            saga.failures = 0;
            saga.state = SagaState::Undoing;
            saga.step = from.unwrap_or(saga.step);
            if let Some(step) = undo_from(from) {
                saga.step = step;
                ledger.push((step, "UNDO_STARTED", String::new()));
            }
        }
        Next::Finished if signalled => {}
        Next::Finished => saga.state = SagaState::Done,
    }
    stamp_stuck(saga, now);
}

/// The pause after so many failures: doubles up to its maximum, spread.
pub(super) fn backoff(ctx: &Ctx, failures: i32) -> time::Duration {
    let config = &ctx.config.saga;
    let doublings = u32::try_from(failures.saturating_sub(1))
        .unwrap_or_default()
        .min(30);
    let whole = config
        .backoff_first_ms
        .saturating_mul(1 << doublings)
        .min(config.backoff_most_ms);
    let spread = Duration::from_millis(whole).mul_f64(0.5 + 0.5 * driver::share(ctx));
    // In microseconds, so that a short pause does not become none.
    time::Duration::microseconds(i64::try_from(spread.as_micros()).unwrap_or(i64::MAX))
}

pub(super) fn tx_name(step: Step) -> &'static str {
    match step {
        Step::Screen => "saga_screen",
        Step::Source => "saga_source",
        Step::Reserve => "saga_reserve",
        Step::AwaitHolds => "saga_await_holds",
        Step::Authorize => "saga_authorize",
        Step::Allocate => "saga_allocate",
        Step::Confirm => "saga_confirm",
        Step::Release => "saga_release",
    }
}
