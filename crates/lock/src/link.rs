//! The connection to Redis. Nobody waits longer than configured, and after a failure nobody waits
//! at all until it is time to try again.

use std::future::Future;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::config::{ConfigError, LeaseConfig};

/// Why no lease could be asked for. Work goes on without one: slower, and as safe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// No connection.
    #[error("no connection to redis: {0}")]
    Connect(String),
    /// No answer in time.
    #[error("no answer from redis within {0:?}")]
    Timeout(Duration),
    /// An answer that is an error, or the connection broke.
    #[error("redis: {0}")]
    Command(String),
    /// It failed a moment ago and is left alone.
    #[error("redis failed a moment ago and has not been tried again yet")]
    CoolingDown,
    /// Redis lost its counters and the database gave no new generation.
    #[error("no new generation: {0}")]
    Generation(String),
}

impl Unavailable {
    /// One word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Timeout(_) => "timeout",
            Self::Command(_) => "command",
            Self::CoolingDown => "cooling_down",
            Self::Generation(_) => "generation",
        }
    }
}

pub(crate) struct Link {
    client: Client,
    connect: AsyncConnectionConfig,
    connect_timeout: Duration,
    command_timeout: Duration,
    retry_after: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that a late failure of an old one does not end the new one.
    number: u64,
    leave_alone_until: Option<Instant>,
}

/// A connection in use.
#[derive(Clone)]
pub(crate) struct Connected {
    pub(crate) connection: MultiplexedConnection,
    number: u64,
}

impl Link {
    pub(crate) fn new(config: &LeaseConfig) -> Result<Self, ConfigError> {
        // The seam for Sentinel (a client that finds the leader) and Cluster (one connection per
        // node, `Placement::ManyNodes`): both are other addresses here and nothing else elsewhere.
        if !config.url.starts_with("redis://") {
            let scheme = config.url.split("://").next().unwrap_or_default();
            return Err(ConfigError::Url(format!("unsupported scheme {scheme:?}")));
        }
        let client = Client::open(config.url.as_str());
        let client = client.map_err(|cause| ConfigError::Url(cause.to_string()))?;
        // Timeouts are ours: they cover connecting and waiting for others who connect, too.
        let connect = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.connect_timeout))
            .set_response_timeout(None);
        Ok(Self {
            client,
            connect,
            connect_timeout: config.connect_timeout,
            command_timeout: config.command_timeout,
            retry_after: config.retry_after,
            state: Mutex::default(),
        })
    }

    /// The shared connection, made when there is none.
    pub(crate) async fn connected(&self) -> Result<Connected, Unavailable> {
        let connecting = timeout(self.connect_timeout, self.state.lock()).await;
        let Ok(mut state) = connecting else {
            return Err(Unavailable::Connect(
                "another call is connecting".to_owned(),
            ));
        };
        if let Some(connection) = &state.connection {
            return Ok(Connected {
                connection: connection.clone(),
                number: state.number,
            });
        }
        if state
            .leave_alone_until
            .is_some_and(|until| Instant::now() < until)
        {
            return Err(Unavailable::CoolingDown);
        }
        let made = self
            .client
            .get_multiplexed_async_connection_with_config(&self.connect)
            .await;
        match made {
            Ok(connection) => {
                state.number += 1;
                state.leave_alone_until = None;
                state.connection = Some(connection.clone());
                Ok(Connected {
                    connection,
                    number: state.number,
                })
            }
            Err(cause) => {
                state.leave_alone_until = Some(Instant::now() + self.retry_after);
                Err(Unavailable::Connect(cause.to_string()))
            }
        }
    }

    /// Waits for an answer on this connection, not longer than configured.
    pub(crate) async fn ask<T>(
        &self,
        on: &Connected,
        command: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, Unavailable> {
        match timeout(self.command_timeout, command).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(cause)) => {
                if breaks_connection(&cause) {
                    self.give_up(on).await;
                }
                Err(Unavailable::Command(cause.to_string()))
            }
            Err(_elapsed) => {
                self.give_up(on).await;
                Err(Unavailable::Timeout(self.command_timeout))
            }
        }
    }

    /// Drops a connection that failed and leaves Redis alone for a while.
    async fn give_up(&self, failed: &Connected) {
        let mut state = self.state.lock().await;
        if state.number == failed.number && state.connection.take().is_some() {
            state.leave_alone_until = Some(Instant::now() + self.retry_after);
        }
    }
}

/// A refused command leaves the connection good; everything else may have left it half read. A
/// replica refuses to write: this server is not the leader any more.
fn breaks_connection(cause: &RedisError) -> bool {
    cause.is_io_error() || cause.is_unrecoverable_error() || cause.code() == Some("READONLY")
}
