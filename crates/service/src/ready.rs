//! Whether a program can answer calls: it says so by gRPC health and on the admin port.
//!
//! Only the database is asked. Everything works without Redis, and a peer that is down is answered for by its own probe.

use std::convert::Infallible;
use std::time::Duration;

use metrics::gauge;
use oms_postgres::Db;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic_health::ServingStatus;

use crate::names;
use crate::server::Server;

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A database that answers later than this is not there.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Watches the database, and says SERVING and NOT_SERVING as it comes and goes; `ready` says the same.
pub(crate) async fn watch(
    service: &'static str,
    db: &Db,
    server: &Server,
    ready: &watch::Sender<bool>,
) -> Infallible {
    let mut pulse = db.pulse();
    loop {
        let answers = matches!(timeout(ANSWER_MAX, pulse.feel()).await, Ok(Ok(())));
        tell(service, answers);
        if ready.send_replace(answers) != answers {
            let status = if answers {
                tracing::info!(service, "the database answers again: ready");
                ServingStatus::Serving
            } else {
                tracing::warn!(service, "the database does not answer: not ready");
                ServingStatus::NotServing
            };
            server.say(status).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Tells it to those who watch from outside: an alert does not ask probes.
pub(crate) fn tell(service: &'static str, is_ready: bool) {
    gauge!(names::READY, "service" => service).set(if is_ready { 1.0 } else { 0.0 });
}
