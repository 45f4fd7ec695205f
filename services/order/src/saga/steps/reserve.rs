//! Reserve: holds the units in inventory. Undo: gives them back by reservation id, also when it is not
//! known whether they were taken.

use std::fmt::Write as _;
use std::time::Duration;

use oms_proto::common::v1::ErrorReason;
use oms_service::PeerError;

use super::{Done, Failure, Record, Undone};
use crate::clients::Reserved;
use crate::ctx::{Ctx, request_id_for};
use crate::domain::order::{FillPolicy, Order};
use crate::domain::reservation::ReservationState;
use crate::domain::saga::StepResult;
use crate::saga::run::Run;

/// Why an order is rejected when stock does not cover it.
const OUT_OF_STOCK: &str = "OUT_OF_STOCK";
/// Most shortages that a note names.
const NOTED_MOST: usize = 5;

pub(super) async fn forward(ctx: &Ctx, run: &Run) -> Result<Done, Failure> {
    let (saga, order) = (run.saga(), run.order());
    let Some(proposal) = &saga.proposal else {
        return Err(Failure::Stuck("there is no proposal".to_owned()));
    };
    let purpose = format!("reserve/{}", saga.reservation_attempt);
    let request_id = request_id_for(order.order_id.uuid(), &purpose);
    let time_to_live = Duration::from_millis(ctx.config.saga.reservation_ttl_ms);
    let answer = ctx
        .inventory
        .reserve(
            request_id,
            saga.reservation_id(),
            order,
            proposal,
            time_to_live,
        )
        .await;
    match answer {
        Ok(reserved) => accept(order, reserved),
        Err(error)
            if matches!(
                error.reason(),
                Some(ErrorReason::OutOfStock | ErrorReason::BackorderCapReached)
            ) =>
        {
            Ok(Done::refused(OUT_OF_STOCK, shortages(&error)))
        }
        Err(error) => Err(Failure::of_peer("inventory", &error)),
    }
}

fn accept(order: &Order, reserved: Reserved) -> Result<Done, Failure> {
    let reservation = &reserved.reservation;
    // A repeat of the call answers what became of it meanwhile.
    if matches!(
        reservation.state,
        ReservationState::Released | ReservationState::Expired
    ) && !reservation.lines.is_empty()
    {
        return Ok(Done::of(StepResult::ReservationLost));
    }
    if reservation.is_empty() {
        return Ok(Done::refused(
            OUT_OF_STOCK,
            "nothing could be taken".to_owned(),
        ));
    }
    let short = order.lines.iter().any(|line| {
        let units = |state| reservation.units(line.order_line_id, state);
        units(ReservationState::Held)
            + units(ReservationState::Allocated)
            + units(ReservationState::Backordered)
            < line.live()
    });
    if short && order.fill_policy != FillPolicy::FillAllAvailable {
        let message = "inventory reserved less than the fill policy asks for";
        return Err(Failure::Stuck(message.to_owned()));
    }
    Ok(Done::with(Record::Reserved(reserved)))
}

fn shortages(error: &PeerError) -> String {
    let mut note = String::new();
    for shortage in error.shortages().iter().take(NOTED_MOST) {
        // Writing to a String does not fail.
        write!(
            note,
            "{}{}: {} of {}",
            if note.is_empty() { "" } else { ", " },
            shortage.sku,
            shortage.available,
            shortage.requested
        )
        .ok();
    }
    note
}

pub(super) async fn undo(ctx: &Ctx, run: &Run) -> Result<Undone, Failure> {
    let saga = run.saga();
    let purpose = format!("undo_reserve/{}", saga.reservation_attempt);
    let request_id = request_id_for(run.order_id().uuid(), &purpose);
    let released = ctx
        .inventory
        .release(request_id, saga.reservation_id(), run.order_id(), &[])
        .await;
    match released {
        Ok(reserved) => Ok(Undone::Released(reserved)),
        Err(error) => Err(Failure::of_peer("inventory", &error)),
    }
}
