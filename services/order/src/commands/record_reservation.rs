//! Keeps the copy of what inventory has reserved, and hands units that got stock on to fulfillment.

use oms_core::{OrderId, ReservationId, derive};
use oms_postgres::{NewTask, tasks};
use oms_proto::inventory::v1 as pb;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::changes::{Change, Event, Locked};
use crate::clients::reservation_from;
use crate::ctx::Ctx;
use crate::domain::release::{Release, ReleaseLine, ReleaseState};
use crate::domain::reservation::{
    Reservation, ReservationLine, ReservationState, saga_reservation_id,
};
use crate::domain::state::OrderState;
use crate::error::Error;
use crate::store::{StoreError, releases, reservations, sagas};

/// Attempts whose reservations are told from those that others made for the order.
const ATTEMPTS: i32 = 64;

/// Task that calls units back whose stock was not there.
pub(crate) const RECALL_DISPLACED_TASK: &str = "recall_displaced";

/// What inventory does to units whose stock turned out not to be there: they wait again.
const DISPLACE: &str = "displace";

/// Keeps a reservation as inventory tells it. While the order is PENDING its saga counts the lines and
/// tells of it; afterwards the order changes here. Units that lost their stock are called back from fulfillment.
pub(crate) async fn record_reservation(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    message: pb::Reservation,
    (actor, action): (&str, &str),
) -> Result<(), Error> {
    let order_id = order.order_id;
    let Some(mut reservation) = reservation_from(&message, order_id) else {
        return Err(StoreError::inconsistent("reservations", "line", order_id).into());
    };
    reservation.cause = cause(order_id, reservation.reservation_id);
    if action == DISPLACE {
        let name = format!("{RECALL_DISPLACED_TASK}/{}", reservation.version);
        let task = NewTask {
            id: derive(reservation.reservation_id.uuid(), &name),
            kind: RECALL_DISPLACED_TASK,
            key: order_id.to_string(),
            payload: Vec::new(),
            run_at: ctx.now(),
            actor: actor.to_owned(),
        };
        tasks::insert(conn, &task).await?;
    }
    if !reservations::upsert(conn, &reservation).await? || order.state == OrderState::Pending {
        return Ok(());
    }
    let all = reservations::list(conn, order_id).await?;
    if !order.set_reserved(&all) {
        return Ok(());
    }
    let change = Change {
        actor,
        action: "record_reservation",
        detail: format!("{action} of reservation {}", reservation.reservation_id),
        event: Event::Progressed("reserved"),
    };
    Ok(order.write(conn, ctx, &change).await?)
}

fn cause(order_id: OrderId, reservation_id: ReservationId) -> String {
    let attempt =
        (1..=ATTEMPTS).find(|attempt| saga_reservation_id(order_id, *attempt) == reservation_id);
    attempt.map_or_else(
        || "resource".to_owned(),
        |attempt| format!("saga/{attempt}"),
    )
}

/// Units that waited for stock and were allocated.
#[derive(Debug)]
pub(crate) struct Allocated {
    /// The event that told of it.
    pub(crate) event_id: Uuid,
    /// Inventory's version of the reservation after it.
    pub(crate) version: i64,
    /// Reservation.
    pub(crate) reservation_id: ReservationId,
    /// Units by line and place.
    pub(crate) lines: Vec<ReservationLine>,
}

/// Counts units that got stock as allocated and plans a batch for fulfillment, which the saga sends.
pub(crate) async fn record_backorder_allocated(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    allocated: &Allocated,
    actor: &str,
) -> Result<(), Error> {
    let order_id = order.order_id;
    copy(conn, order_id, allocated).await?;
    // Before the confirmation, and when the confirmation saw it already, it belongs to the first batch. An
    // order that has ended gives it back.
    let batched = reservations::batched_version(conn, allocated.reservation_id).await?;
    if order.state != OrderState::Confirmed || allocated.version <= batched {
        return Ok(());
    }
    let lines = allocated.lines.iter().map(|line| ReleaseLine {
        reservation_id: allocated.reservation_id,
        order_line_id: line.order_line_id,
        location_id: line.location_id.clone(),
        lot: line.lot.clone(),
        quantity: line.quantity,
    });
    let batch = Release {
        batch: format!("backorder/{}", allocated.event_id),
        state: ReleaseState::Planned,
        lines: lines.collect(),
    };
    let now = ctx.now();
    if !releases::insert(conn, order_id, &batch, now).await? {
        return Ok(());
    }
    let units: i64 = batch.lines.iter().map(|line| line.quantity).sum();
    order.set_reserved(&reservations::list(conn, order_id).await?);
    let change = Change {
        actor,
        action: "allocate_backorder",
        detail: format!("{units} units"),
        event: Event::Progressed("allocated"),
    };
    order.write(conn, ctx, &change).await?;
    sagas::release_again(conn, order_id, now).await?;
    Ok(())
}

/// Moves the units in the copy, unless the copy is as new already.
async fn copy(
    conn: &mut PgConnection,
    order_id: OrderId,
    allocated: &Allocated,
) -> Result<(), Error> {
    let all = reservations::list(conn, order_id).await?;
    let known = all
        .into_iter()
        .find(|one| one.reservation_id == allocated.reservation_id);
    let mut reservation = known.ok_or_else(|| {
        StoreError::inconsistent("reservations", "reservation_id", allocated.reservation_id)
    })?;
    if reservation.version < allocated.version {
        move_units(&mut reservation, &allocated.lines);
        reservation.version = allocated.version;
        reservations::upsert(conn, &reservation).await?;
    }
    Ok(())
}

fn move_units(reservation: &mut Reservation, lines: &[ReservationLine]) {
    for given in lines {
        let mut left = given.quantity;
        for line in &mut reservation.lines {
            let waits = line.state == ReservationState::Backordered
                && line.order_line_id == given.order_line_id;
            if waits {
                let part = left.min(line.quantity);
                line.quantity -= part;
                left -= part;
            }
        }
        reservation.lines.push(ReservationLine {
            state: ReservationState::Allocated,
            ..given.clone()
        });
    }
    reservation.lines.retain(|line| line.quantity > 0);
    reservation.state = ReservationState::Allocated;
}
