//! Finds, installs and runs a private Postgres and a private Redis: real engines, no containers,
//! nothing to configure.
//!
//! [`Engines::start`] gives both, or uses the ones whose addresses it is given; [`Postgres`] and
//! [`Redis`] can also be started alone and be killed, paused and restarted by fault tests.
//!
//! - `find`, `install`: where the programs come from (this machine, apt, a Python wheel)
//! - `user`: Postgres refuses to run as root, so root runs it as somebody else
//! - `supervise`: one engine as a child process that cannot outlive the process that started it
//! - `postgres`, `redis`, `engines`: what the two need, and both together
//! - `scratch`: directories in memory for engines that live as long as one test run
//!
//! Every call here blocks; from async code use `tokio::task::spawn_blocking`.

mod engines;
mod error;
mod find;
mod install;
mod postgres;
mod process;
mod redis;
pub mod scratch;
mod supervise;
mod user;

pub use engines::{Engines, EnginesConfig};
pub use error::Error;
pub use postgres::{Postgres, PostgresOptions};
pub use process::is_alive;
pub use redis::{Redis, RedisOptions, Role};

use std::sync::Arc;

/// Told, in words for people, what is being done and how long it took.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// A [`Progress`] that says nothing.
pub fn quiet() -> Progress {
    Arc::new(|_| {})
}

/// A [`Progress`] that prints each line to standard error.
pub fn to_stderr() -> Progress {
    Arc::new(|line| eprintln!("{line}"))
}
