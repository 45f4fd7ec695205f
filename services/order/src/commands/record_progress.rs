//! Counts units that moved at a peer.

use oms_core::OrderLineId;
use sqlx::PgConnection;

use crate::changes::{Change, Event, Locked};
use crate::ctx::Ctx;
use crate::domain::order::Counters;
use crate::error::Error;

/// Which counter moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Units were picked.
    Picked,
    /// Units were packed.
    Packed,
    /// A return was asked for.
    ReturnRequested,
    /// A return will not come.
    ReturnGivenUp,
    /// Units came back.
    Returned,
}

impl Progress {
    fn counter(self) -> &'static str {
        match self {
            Self::Picked => "picked",
            Self::Packed => "packed",
            Self::ReturnRequested | Self::ReturnGivenUp => "return_requested",
            Self::Returned => "returned",
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::Picked => "pick",
            Self::Packed => "pack",
            Self::ReturnRequested => "request_return",
            Self::ReturnGivenUp => "give_up_return",
            Self::Returned => "receive_return",
        }
    }

    fn count(self, counters: &mut Counters, quantity: i64) {
        match self {
            Self::Picked => counters.picked += quantity,
            Self::Packed => counters.packed += quantity,
            Self::ReturnRequested => counters.return_requested += quantity,
            Self::ReturnGivenUp => {
                counters.return_requested = (counters.return_requested - quantity).max(0);
            }
            Self::Returned => counters.returned += quantity,
        }
    }
}

/// Counts units of an order's lines. `what` names the thing at the peer, for people.
pub(crate) async fn record_progress(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    progress: Progress,
    units: &[(OrderLineId, i64)],
    (actor, what): (&str, &str),
) -> Result<(), Error> {
    let total = count(order, units, |counters, quantity| {
        progress.count(counters, quantity);
    });
    if total == 0 {
        return Ok(());
    }
    let change = Change {
        actor,
        action: progress.action(),
        detail: format!("{total} units, {what}"),
        event: Event::Progressed(progress.counter()),
    };
    Ok(order.write(conn, ctx, &change).await?)
}

/// Counts units on the lines of a locked order; answers how many there were.
pub(super) fn count(
    order: &mut Locked,
    units: &[(OrderLineId, i64)],
    mut on: impl FnMut(&mut Counters, i64),
) -> i64 {
    let mut total = 0;
    for (order_line_id, quantity) in units {
        let lines = order.lines.iter_mut();
        for line in lines.filter(|line| line.order_line_id == *order_line_id) {
            on(&mut line.counters, *quantity);
            total += quantity;
        }
    }
    total
}
