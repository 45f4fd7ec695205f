//! Ends reservations that ran out before they were confirmed.

use futures::StreamExt;
use oms_core::{Principal, ReservationId};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::domain::command::Command;

use super::{Error, Lanes, Request, Shared};

/// Reservations read at a time.
const READ_MAX: i64 = 200;

/// Reservations ended at a time.
const CONCURRENCY: usize = 8;

/// Sweeps until canceled. Every replica does: what another one has ended is ended twice without effect.
pub(super) async fn run(lanes: Lanes, cancel: CancellationToken) {
    let Ok(actor) = "service:inventory".parse::<Principal>() else {
        return;
    };
    while !cancel.is_cancelled() {
        match lanes.sweep(&actor).await {
            Ok(ended) if ended >= usize::try_from(READ_MAX).unwrap_or(usize::MAX) => {}
            Ok(_) => rest(&lanes.shared, &cancel).await,
            Err(error) => {
                tracing::warn!(%error, "expired reservations cannot be looked for");
                rest(&lanes.shared, &cancel).await;
            }
        }
    }
}

async fn rest(shared: &Shared, cancel: &CancellationToken) {
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        // Replicas that started together drift apart.
        () = async { tokio::time::sleep(shared.config.sweep_interval).await; shared.pause().await } => {}
    }
}

impl Lanes {
    /// Ends what has run out by now, up to one page; answers how many it found.
    async fn sweep(&self, actor: &Principal) -> Result<usize, Error> {
        let due = self.shared.books.due(READ_MAX).await?;
        let found = due.len();
        futures::stream::iter(due)
            .for_each_concurrent(CONCURRENCY, |id| self.expire(id, actor))
            .await;
        Ok(found)
    }

    async fn expire(&self, reservation: ReservationId, actor: &Principal) {
        let span = tracing::info_span!("expire_reservation", oms.reservation.id = %reservation);
        let request = Request {
            command: Command::Expire { reservation },
            key: None,
            actor: actor.clone(),
        };
        if let Err(error) = self.submit(request).instrument(span).await {
            tracing::warn!(%error, %reservation, "reservation could not be ended, trying again");
        }
    }
}
