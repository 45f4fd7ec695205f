//! The connection to one server. Nobody waits longer than configured, and after a failure nobody
//! waits at all until it is time to try again.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tokio::time::timeout;

use crate::config::LeaseConfig;
use crate::connect::Connector;
use crate::health::Health;
use crate::unavailable::Unavailable;

/// How long one attempt to connect goes on, whether or not somebody still waits for it: the way
/// through Sentinels, or to another region, may take longer than a caller should wait.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A server and the connection to it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    connector: Connector,
    connect_timeout: Duration,
    command_timeout: Duration,
    retry_after: Duration,
    health: Health,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// Counts connections, so that what comes late from an old one is no news of the new one.
    number: u64,
}

enum Phase {
    /// Not connected, and left alone until then.
    Apart(Option<Instant>),
    /// A task connects. Once somebody has waited for it in vain, nobody else does.
    Connecting { attempt: Attempt, in_vain: bool },
    /// Connected.
    Together(MultiplexedConnection),
}

type Attempt = Shared<BoxFuture<'static, Result<Connected, Unavailable>>>;

/// A connection in use.
#[derive(Clone)]
pub(crate) struct Connected {
    pub(crate) connection: MultiplexedConnection,
    link: Link,
    number: u64,
}

/// Why a command was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Its keys are at another node of the Cluster, at this `host:port`; no host: at the same one.
    Moved(String),
    /// For any other reason.
    Unavailable(Unavailable),
}

impl Link {
    /// `name` is an address for people, without a password.
    pub(crate) fn new(name: String, connector: Connector, config: &LeaseConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                connector,
                connect_timeout: config.connect_timeout,
                command_timeout: config.command_timeout,
                retry_after: config.retry_after,
                health: Health::new("redis", name),
                state: Mutex::new(State {
                    phase: Phase::Apart(None),
                    number: 0,
                }),
            }),
        }
    }

    /// Address for people.
    pub(crate) fn name(&self) -> &str {
        self.inner.health.name()
    }

    /// The shared connection, made when there is none.
    pub(crate) async fn connected(&self) -> Result<Connected, Unavailable> {
        let (attempt, number) = {
            let mut state = self.state();
            let attempt = match &state.phase {
                Phase::Together(connection) => {
                    return Ok(self.using(connection.clone(), state.number));
                }
                Phase::Connecting { in_vain: true, .. } => return Err(Unavailable::CoolingDown),
                Phase::Apart(Some(until)) if Instant::now() < *until => {
                    return Err(Unavailable::CoolingDown);
                }
                Phase::Connecting { attempt, .. } => attempt.clone(),
                Phase::Apart(_) => self.begin(&mut state),
            };
            (attempt, state.number)
        };
        let patience = self.inner.connect_timeout;
        if let Ok(outcome) = timeout(patience, attempt).await {
            return outcome;
        }
        let reason = Unavailable::Connect(format!("not within {patience:?}"));
        let mut state = self.state();
        if state.number == number
            && let Phase::Connecting { in_vain, .. } = &mut state.phase
        {
            *in_vain = true;
            self.inner.health.bad(&reason);
        }
        Err(reason)
    }

    /// Begins to connect, in a task of its own: a caller that goes away ends nothing.
    fn begin(&self, state: &mut State) -> Attempt {
        state.number += 1;
        let task = tokio::spawn(self.clone().connect(state.number));
        let attempt = async move {
            let aborted = |cause| Err(Unavailable::Connect(format!("{cause}")));
            task.await.unwrap_or_else(aborted)
        };
        let attempt = attempt.boxed().shared();
        state.phase = Phase::Connecting {
            attempt: attempt.clone(),
            in_vain: false,
        };
        attempt
    }

    async fn connect(self, number: u64) -> Result<Connected, Unavailable> {
        let made = match timeout(CONNECT_LIMIT, self.inner.connector.connect()).await {
            Ok(made) => made.map_err(|cause| Unavailable::Connect(cause.to_string())),
            Err(_elapsed) => Err(Unavailable::Connect(format!(
                "not within {CONNECT_LIMIT:?}"
            ))),
        };
        let mut state = self.state();
        match made {
            Ok(connection) => {
                state.phase = Phase::Together(connection.clone());
                Ok(self.using(connection, number))
            }
            Err(reason) => {
                state.phase = self.apart();
                self.inner.health.bad(&reason);
                Err(reason)
            }
        }
    }

    fn using(&self, connection: MultiplexedConnection, number: u64) -> Connected {
        Connected {
            connection,
            link: self.clone(),
            number,
        }
    }

    fn apart(&self) -> Phase {
        Phase::Apart(Some(Instant::now() + self.inner.retry_after))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected {
    /// Waits for an answer on this connection, not longer than configured.
    pub(crate) async fn ask<T>(
        &self,
        command: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, Failure> {
        let patience = self.link.inner.command_timeout;
        let (reason, breaks) = match timeout(patience, command).await {
            Ok(Ok(answer)) => {
                self.link.inner.health.good();
                return Ok(answer);
            }
            Ok(Err(cause)) => {
                if let Some(address) = moved_to(&cause) {
                    return Err(Failure::Moved(address));
                }
                if is_between_nodes(&cause) {
                    let reason = Unavailable::Command(cause.to_string());
                    return Err(Failure::Unavailable(reason));
                }
                (
                    Unavailable::Command(cause.to_string()),
                    breaks_connection(&cause),
                )
            }
            Err(_elapsed) => (Unavailable::Timeout(patience), true),
        };
        self.failed(&reason, breaks);
        Err(Failure::Unavailable(reason))
    }

    /// Tells of a failure, and ends the connection if it broke: Redis is left alone for a while.
    fn failed(&self, reason: &Unavailable, breaks: bool) {
        let mut state = self.link.state();
        if !state.is_about(self) {
            return;
        }
        self.link.inner.health.bad(reason);
        if breaks {
            state.phase = self.link.apart();
        }
    }
}

impl State {
    /// Whether this is the connection of the moment.
    fn is_about(&self, connected: &Connected) -> bool {
        self.number == connected.number && matches!(self.phase, Phase::Together(_))
    }
}

/// Where the keys are instead.
fn moved_to(cause: &RedisError) -> Option<String> {
    if cause.kind() != ErrorKind::Server(ServerErrorKind::Moved) {
        return None;
    }
    let (address, _slot) = cause.redirect_node()?;
    Some(address.to_owned())
}

/// The slot of the keys is moving from one node to another, which takes a moment and is no failure.
fn is_between_nodes(cause: &RedisError) -> bool {
    let kind = cause.kind();
    kind == ErrorKind::Server(ServerErrorKind::Ask)
        || kind == ErrorKind::Server(ServerErrorKind::TryAgain)
}

/// A refused command leaves the connection good; everything else may have left it half read. A
/// replica refuses to write: this server is not the leader any more.
fn breaks_connection(cause: &RedisError) -> bool {
    cause.is_io_error() || cause.is_unrecoverable_error() || cause.code() == Some("READONLY")
}
