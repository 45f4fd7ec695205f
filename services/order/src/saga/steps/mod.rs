//! The steps of the saga: what each does, and how it is undone.
//!
//! A step has up to three parts: `forward` calls peers and providers outside of any transaction and
//! answers a [`Done`]; `record` writes it in the transaction that commits the result; `undo` gives back
//! what was taken. Each may run again after a crash: what it calls is keyed by order, step and attempt.

mod allocate;
mod authorize;
mod await_holds;
mod confirm;
mod release;
mod reserve;
mod screen;
mod source;

use oms_service::PeerError;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::run::{Lost, Run};
use crate::changes::{Change, Event, Locked};
use crate::clients::Reserved;
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::order::Hold;
use crate::domain::payment::{Answer, Payment};
use crate::domain::release::FulfillmentOrder;
use crate::domain::reservation::Reservation;
use crate::domain::saga::{Saga, Step, StepResult};
use crate::domain::sourcing::Proposal;
use crate::error::Error;
use crate::store::reservations;

/// What a step came to.
#[derive(Debug, Clone)]
pub(super) struct Done {
    /// What the pure decision goes by.
    pub(super) result: StepResult,
    /// What the commit writes.
    pub(super) record: Record,
    /// For the ledger.
    pub(super) note: String,
    /// When to look again, for [`StepResult::NotYet`]; at once when `None`.
    pub(super) wait_until: Option<OffsetDateTime>,
    passes: bool,
}

/// What the commit of a step writes.
#[derive(Debug, Clone)]
pub(super) enum Record {
    /// Nothing but the saga.
    Nothing,
    /// Holds that rules asked for.
    Holds(Vec<Hold>),
    /// Where the order may come from.
    Proposal(Proposal),
    /// Units were held.
    Reserved(Reserved),
    /// They are held until then.
    Extended(Option<OffsetDateTime>),
    /// They were given back, or ran out, while the saga waits.
    GivenBack(Option<Reserved>),
    /// A provider's answer to the authorization.
    Authorized(Payment, Answer),
    /// Units were allocated: the order is confirmed.
    Allocated(Reserved),
    /// Fulfillment orders were created for a batch.
    Released(String, Vec<FulfillmentOrder>),
}

/// What an undo came to.
#[derive(Debug, Clone)]
pub(super) enum Undone {
    /// Everything is written already.
    Nothing,
    /// Units were given back.
    Released(Reserved),
}

/// Why a step could not be run.
#[derive(Debug)]
pub(super) enum Failure {
    /// Try again after a pause.
    Retry(String),
    /// Trying again cannot help.
    Stuck(String),
    /// Another claim has the saga, or the database failed: nothing can be written.
    Lost(Lost),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Lost(Lost::Error(error))
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl From<oms_postgres::Error> for Failure {
    fn from(error: oms_postgres::Error) -> Self {
        Self::Lost(error.into())
    }
}

impl From<crate::store::StoreError> for Failure {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Lost(error.into())
    }
}

impl Failure {
    /// A peer's error that is no answer of the step.
    fn of_peer(peer: &str, error: &PeerError) -> Self {
        let message = format!("{peer}: {error}");
        if error.retryable() {
            Self::Retry(message)
        } else {
            Self::Stuck(message)
        }
    }
}

impl Done {
    /// Done, with something to write.
    fn with(record: Record) -> Self {
        Self {
            record,
            ..Self::of(StepResult::Done)
        }
    }

    /// A result with nothing to write.
    pub(super) fn of(result: StepResult) -> Self {
        Self {
            result,
            record: Record::Nothing,
            note: String::new(),
            wait_until: None,
            passes: false,
        }
    }

    /// Nothing to do here: the result is written with the next one.
    fn pass(note: &str) -> Self {
        Self {
            note: note.to_owned(),
            passes: true,
            ..Self::of(StepResult::Done)
        }
    }

    /// Refused for good.
    fn refused(reason: &str, note: String) -> Self {
        Self {
            note,
            ..Self::of(StepResult::Refused(reason.to_owned()))
        }
    }

    /// Looks again at this time.
    fn wait(until: OffsetDateTime) -> Self {
        Self {
            wait_until: Some(until),
            ..Self::of(StepResult::NotYet)
        }
    }

    /// True when there is nothing to write.
    pub(super) fn is_pass(&self) -> bool {
        self.passes
    }

    /// True when the commit locks the order.
    pub(super) fn needs_order(&self) -> bool {
        let refused = matches!(
            self.result,
            StepResult::Refused(_) | StepResult::RefusedInPart(_)
        );
        refused
            || !matches!(
                self.record,
                Record::Nothing
                    | Record::Proposal(_)
                    | Record::Extended(_)
                    | Record::GivenBack(None)
            )
    }
}

/// Runs the saga's present step.
pub(super) async fn forward(ctx: &Ctx, run: &Run) -> Result<Done, Failure> {
    match run.saga().step {
        Step::Screen => screen::forward(ctx, run).await,
        Step::Source => source::forward(ctx, run).await,
        Step::Reserve => reserve::forward(ctx, run).await,
        Step::AwaitHolds => await_holds::forward(ctx, run).await,
        Step::Authorize => authorize::forward(ctx, run).await,
        Step::Allocate => allocate::forward(ctx, run).await,
        Step::Confirm => confirm::forward(run),
        Step::Release => release::forward(ctx, run).await,
    }
}

/// Undoes the saga's present step.
pub(super) async fn undo(ctx: &Ctx, run: &Run) -> Result<Undone, Failure> {
    match run.saga().step {
        Step::Reserve => reserve::undo(ctx, run).await,
        Step::Authorize => authorize::undo(ctx, run).await,
        Step::Screen
        | Step::Source
        | Step::AwaitHolds
        | Step::Allocate
        | Step::Confirm
        | Step::Release => Ok(Undone::Nothing),
    }
}

/// Writes what a step did to the order. The order and the saga are locked. Answers the result, which may
/// change when the order is not any more what the step saw.
pub(super) async fn record(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    saga: &mut Saga,
    done: &Done,
) -> Result<StepResult, Lost> {
    match &done.record {
        Record::Holds(holds) => screen::record(conn, ctx, order, holds).await?,
        Record::Reserved(reserved) => {
            copy_reservation(conn, ctx, order, saga, &reserved.reservation, "reserve").await?;
        }
        Record::GivenBack(Some(reserved)) => {
            let reservation = &reserved.reservation;
            copy_reservation(conn, ctx, order, saga, reservation, "give_back_reservation").await?;
        }
        Record::Authorized(payment, answer) => {
            authorize::record(conn, ctx, order, payment, answer).await?;
        }
        Record::Allocated(reserved) => {
            return allocate::record(conn, ctx, order, saga, &reserved.reservation).await;
        }
        Record::Released(batch, rows) => release::record(conn, ctx, order, batch, rows).await?,
        Record::Nothing | Record::Proposal(_) | Record::Extended(_) | Record::GivenBack(None) => {}
    }
    Ok(done.result.clone())
}

/// What the saga itself remembers of a step.
pub(super) fn remember(saga: &mut Saga, done: &Done, now: OffsetDateTime) {
    match &done.record {
        Record::Proposal(proposal) => saga.proposal = Some(proposal.clone()),
        Record::Reserved(reserved) => {
            saga.reservation_expires_at = reserved.expires_at;
            saga.reserved_at = Some(now);
        }
        Record::Extended(expires_at) => saga.reservation_expires_at = *expires_at,
        Record::GivenBack(_) => {
            saga.reservation_expires_at = None;
            saga.reserved_at = None;
        }
        Record::Nothing
        | Record::Holds(_)
        | Record::Authorized(..)
        | Record::Allocated(_)
        | Record::Released(..) => {}
    }
}

/// Writes what an undo gave back. The order and the saga are locked.
pub(super) async fn record_undone(
    conn: &mut PgConnection,
    order: &mut Locked,
    saga: &mut Saga,
    undone: &Undone,
) -> Result<(), Lost> {
    match undone {
        Undone::Nothing => {}
        Undone::Released(reserved) => {
            // The event that tells of it is the one of the order's end.
            write_copy(conn, order, saga, &reserved.reservation).await?;
            saga.reservation_expires_at = None;
        }
    }
    Ok(())
}

/// Keeps a copy of the saga's reservation and counts the lines anew. Answers whether a counter moved, and
/// the copy, which is newer than the answer when the feed was faster.
async fn write_copy(
    conn: &mut PgConnection,
    order: &mut Locked,
    saga: &Saga,
    reservation: &Reservation,
) -> Result<(bool, Reservation), Lost> {
    let copy = Reservation {
        cause: format!("saga/{}", saga.reservation_attempt),
        ..reservation.clone()
    };
    if reservations::upsert(conn, &copy).await? {
        // Before the pivot no other reservation of the order holds anything.
        let moved = order.set_reserved(std::slice::from_ref(&copy));
        return Ok((moved, copy));
    }
    let all = reservations::list(conn, order.order_id).await?;
    let moved = order.set_reserved(&all);
    let newest = all
        .into_iter()
        .find(|one| one.reservation_id == copy.reservation_id);
    Ok((moved, newest.unwrap_or(copy)))
}

/// [`write_copy`] with the event that tells of it, if anything moved.
async fn copy_reservation(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    saga: &Saga,
    reservation: &Reservation,
    action: &'static str,
) -> Result<(), Lost> {
    let (moved, _) = write_copy(conn, order, saga, reservation).await?;
    if !moved {
        return Ok(());
    }
    let change = Change {
        actor: SERVICE_ACTOR,
        action,
        detail: units(order),
        event: Event::Progressed("held"),
    };
    order.write(conn, ctx, &change).await?;
    Ok(())
}

/// Units by counter, for people.
fn units(order: &Locked) -> String {
    let sum = |count: fn(&crate::domain::order::Counters) -> i64| -> i64 {
        order.lines.iter().map(|line| count(&line.counters)).sum()
    };
    format!(
        "{} held, {} allocated, {} backordered",
        sum(|counters| counters.held),
        sum(|counters| counters.allocated),
        sum(|counters| counters.backordered)
    )
}
