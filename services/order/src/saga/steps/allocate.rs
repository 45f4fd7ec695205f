//! Allocate: turns the held units into allocated ones, and with that confirms the order. What is allocated
//! is given back by the undo of [`super::reserve`].

use oms_proto::common::v1::ErrorReason;
use sqlx::PgConnection;

use super::{Done, Failure, Record, confirm, units, write_copy};
use crate::changes::{Change, Event, Locked};
use crate::ctx::{Ctx, SERVICE_ACTOR, request_id_for};
use crate::domain::order::HoldBlock;
use crate::domain::reservation::{Reservation, ReservationState};
use crate::domain::saga::{Saga, StepResult};
use crate::saga::run::{Lost, Run};

pub(super) async fn forward(ctx: &Ctx, run: &Run) -> Result<Done, Failure> {
    let saga = run.saga();
    let purpose = format!("allocate/{}", saga.reservation_attempt);
    let request_id = request_id_for(run.order_id().uuid(), &purpose);
    let confirmed = ctx
        .inventory
        .confirm(request_id, saga.reservation_id(), run.order_id())
        .await;
    match confirmed {
        Ok(reserved) if is_lost(&reserved.reservation) => Ok(Done::of(StepResult::ReservationLost)),
        Ok(reserved) => Ok(Done {
            // Only when a hold came meanwhile; its release signals the saga.
            wait_until: Some(saga.expires_at),
            ..Done::with(Record::Allocated(reserved))
        }),
        Err(error) if error.reason() == Some(ErrorReason::ReservationExpired) => {
            Ok(Done::of(StepResult::ReservationLost))
        }
        Err(error) => Err(Failure::of_peer("inventory", &error)),
    }
}

fn is_lost(reservation: &Reservation) -> bool {
    matches!(
        reservation.state,
        ReservationState::Released | ReservationState::Expired
    )
}

/// Writes the allocation and confirms the order, unless a hold or a cancellation came meanwhile.
pub(super) async fn record(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    saga: &Saga,
    reservation: &Reservation,
) -> Result<StepResult, Lost> {
    let (moved, copy) = write_copy(conn, order, saga, reservation).await?;
    let held = order.is_blocked(HoldBlock::Confirm);
    if !held && !saga.cancel_requested {
        confirm::confirm(conn, ctx, order, &copy).await?;
        return Ok(StepResult::Done);
    }
    if moved {
        let change = Change {
            actor: SERVICE_ACTOR,
            action: "allocate",
            detail: units(order),
            event: Event::Progressed("allocated"),
        };
        order.write(conn, ctx, &change).await?;
    }
    Ok(StepResult::NotYet)
}
