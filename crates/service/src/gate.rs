//! What a call of a peer has to pass before it is sent: a place among those in work, and the breaker. Peers are other
//! services, or whoever else a service asks: whoever answers settles the pass.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Code, Status};

use crate::breaker::{Breaker, Turn};
use crate::config::PeerConfig;
use crate::names::{CLIENT_REFUSED, CLIENT_TRIPPED};

/// The gate before a peer, shared by everybody who calls it, such as all channels to it that were made from one.
#[derive(Debug)]
pub struct Gate {
    peer: Arc<str>,
    places: Arc<Semaphore>,
    patience: Duration,
    breaker: Breaker,
}

impl Gate {
    /// The gate before this peer. Of the configuration it takes the limits: `calls_max`, `timeout_ms` as the longest wait for a
    /// place, `failures_max`, `pause_ms`.
    pub fn new(peer: Arc<str>, config: &PeerConfig) -> Self {
        Self {
            peer,
            places: Arc::new(Semaphore::new(config.calls_max.max(1))),
            patience: Duration::from_millis(config.timeout_ms),
            breaker: Breaker::new(
                config.failures_max.max(1),
                Duration::from_millis(config.pause_ms),
            ),
        }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// UNAVAILABLE when the peer is left alone, or nothing came free as long as a call may take.
    pub async fn enter(self: &Arc<Self>) -> Result<Pass, Status> {
        if !self.breaker.admits(Instant::now()) {
            return Err(self.refuse("tripped", "has not answered many times in a row"));
        }
        let mut pass = Pass {
            gate: Arc::clone(self),
            place: None,
            is_settled: false,
        };
        let place = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout(self.patience, place).await {
            Ok(Ok(place)) => pass.place = Some(place),
            _ => return Err(self.refuse("calls_max", "has too many calls in work already")),
        }
        Ok(pass)
    }

    fn refuse(&self, reason: &'static str, why: &str) -> Status {
        counter!(CLIENT_REFUSED, "peer" => self.peer.to_string(), "reason" => reason).increment(1);
        Status::unavailable(format!("{} {why}", self.peer))
    }
}

/// A call on its way. One that is dropped without having been settled tells nothing of the peer.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    place: Option<OwnedSemaphorePermit>,
    is_settled: bool,
}

impl Pass {
    /// What came of it, as far as it tells of the peer: UNAVAILABLE and DEADLINE_EXCEEDED say that it did not answer.
    pub fn settle(mut self, code: Code) {
        self.is_settled = true;
        // Also who answers that it cannot reach its own engines is better left alone.
        let answered = !matches!(code, Code::Unavailable | Code::DeadlineExceeded);
        let peer = &self.gate.peer;
        match self.gate.breaker.report(answered, Instant::now()) {
            Turn::Same => {}
            Turn::Tripped => {
                gauge!(CLIENT_TRIPPED, "peer" => peer.to_string()).set(1);
                tracing::warn!(%peer, "does not answer: left alone, and asked from time to time");
            }
            Turn::Back => {
                gauge!(CLIENT_TRIPPED, "peer" => peer.to_string()).set(0);
                tracing::info!(%peer, "answers again");
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.is_settled {
            self.gate.breaker.forget();
        }
    }
}
