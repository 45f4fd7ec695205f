use std::time::Duration;

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
