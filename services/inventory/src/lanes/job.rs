//! A command on its way through the lanes.

use std::collections::BTreeSet;

use oms_core::{ReservationId, Sku};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Span;
use uuid::Uuid;

use crate::domain::effect::Outcome;

use super::{Error, Request};

/// See the module.
pub(super) struct Job {
    pub(super) request: Request,
    /// SKUs whose lanes it needs.
    pub(super) skus: BTreeSet<Sku>,
    /// Span of the caller.
    pub(super) span: Span,
    /// When it came.
    pub(super) since: Instant,
    /// When it first asked for leases.
    pub(super) lease_since: Option<Instant>,
    /// How often its SKUs had to be looked up again.
    pub(super) looked: u32,
    /// Where the caller waits.
    pub(super) answer: oneshot::Sender<Result<Outcome, Error>>,
}

/// What no two batches of a process may work on at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Claim {
    /// A SKU.
    Sku(Sku),
    /// A reservation; also one that does not exist yet and so has no SKUs.
    Reservation(ReservationId),
    /// A call and its repeat.
    Call {
        principal: String,
        method: &'static str,
        request_id: Uuid,
    },
}

impl Job {
    pub(super) fn claims(&self) -> impl Iterator<Item = Claim> {
        let skus = self.skus.iter().cloned().map(Claim::Sku);
        let reservation = self.request.command.reservation().map(Claim::Reservation);
        let call = self.request.key.as_ref().map(|key| Claim::Call {
            principal: key.principal.clone(),
            method: key.method,
            request_id: key.request_id,
        });
        skus.chain(reservation).chain(call)
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    pub(super) fn finish(self, answer: Result<Outcome, Error>) {
        // The caller may have gone meanwhile; what was decided stands.
        let _ = self.answer.send(answer);
    }
}
