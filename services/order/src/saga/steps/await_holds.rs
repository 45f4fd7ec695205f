//! Await holds: waits while a hold blocks the confirmation. The stock is kept meanwhile by extending the
//! reservation, up to a limit; after that it is given back, and reserved again when the hold ends.

use std::time::Duration;

use time::OffsetDateTime;
use tonic::Code;

use super::{Done, Failure, Record};
use crate::ctx::{Ctx, request_id_for};
use crate::domain::order::HoldBlock;
use crate::domain::saga::{Saga, StepResult};
use crate::saga::millis;
use crate::saga::run::Run;

pub(super) async fn forward(ctx: &Ctx, run: &Run) -> Result<Done, Failure> {
    let saga = run.saga();
    let given_back = saga.reserved_at.is_none();
    if !run.order().is_blocked(HoldBlock::Confirm) {
        return Ok(if given_back {
            Done::of(StepResult::ReservationLost)
        } else {
            Done::pass("no hold")
        });
    }
    let now = ctx.now();
    let (Some(reserved_at), Some(expires_at)) = (saga.reserved_at, saga.reservation_expires_at)
    else {
        return Ok(Done::wait(saga.expires_at));
    };
    if now - reserved_at >= millis(ctx.config.saga.reservation_most_ms) {
        return give_back(ctx, run).await;
    }
    let renew_at = renew_at(ctx, saga, expires_at);
    if now < renew_at {
        return Ok(Done::wait(renew_at));
    }
    extend(ctx, run, expires_at).await
}

/// Half of the time to live before the stock would be gone.
fn renew_at(ctx: &Ctx, saga: &Saga, expires_at: OffsetDateTime) -> OffsetDateTime {
    let margin = millis(ctx.config.saga.reservation_ttl_ms) / 2;
    let renew_at: OffsetDateTime = expires_at - margin;
    renew_at.min(saga.expires_at)
}

async fn extend(ctx: &Ctx, run: &Run, expires_at: OffsetDateTime) -> Result<Done, Failure> {
    let saga = run.saga();
    // One extension per expiry: a repeat after a crash is a replay.
    let purpose = format!(
        "extend/{}/{}",
        saga.reservation_attempt,
        expires_at.unix_timestamp()
    );
    let request_id = request_id_for(run.order_id().uuid(), &purpose);
    let time_to_live = Duration::from_millis(ctx.config.saga.reservation_ttl_ms);
    let extended = ctx
        .inventory
        .extend(
            request_id,
            saga.reservation_id(),
            run.order_id(),
            time_to_live,
        )
        .await;
    match extended {
        Ok(reserved) => {
            let until = reserved.expires_at.unwrap_or(saga.expires_at);
            // The limit of all extensions may have cut this one: then look again when it is up.
            let next_look = renew_at(ctx, saga, until).max(ctx.now() + time::Duration::SECOND);
            Ok(Done {
                record: Record::Extended(reserved.expires_at),
                ..Done::wait(next_look)
            })
        }
        Err(error) if error.code() == Code::FailedPrecondition => Ok(gone(saga, None)),
        Err(error) => Err(Failure::of_peer("inventory", &error)),
    }
}

async fn give_back(ctx: &Ctx, run: &Run) -> Result<Done, Failure> {
    let saga = run.saga();
    let purpose = format!("give_back/{}", saga.reservation_attempt);
    let request_id = request_id_for(run.order_id().uuid(), &purpose);
    let released = ctx
        .inventory
        .release(request_id, saga.reservation_id(), run.order_id(), &[])
        .await;
    match released {
        Ok(reserved) => Ok(gone(saga, Some(reserved))),
        Err(error) => Err(Failure::of_peer("inventory", &error)),
    }
}

fn gone(saga: &Saga, reserved: Option<crate::clients::Reserved>) -> Done {
    Done {
        record: Record::GivenBack(reserved),
        ..Done::wait(saga.expires_at)
    }
}
