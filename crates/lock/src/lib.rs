//! The Redis reservation lease: token, time to live, compare-and-delete, fencing. Knows nothing of
//! stock.
//!
//! [`Leases::acquire`] asks for the leases of several names at once and answers [`Outcome`]:
//! acquired with a fencing [`Token`] per name, busy, or unavailable. It never waits for a lease and
//! never longer than its timeouts for Redis, so a Redis that is gone, empty or slow costs speed and
//! nothing else.
//!
//! A lease is **not** a proof that nobody else works on the name: it expires while its holder is
//! paused, and Redis may lose it. Safety comes from the database, which stores the largest token it
//! has seen for a name and accepts work only with
//! `fence < token OR (fence = token AND holder = me)`.
//!
//! - `config`, `address`: where Redis is and how long anything may take
//! - `token`, `lease`: what is got, and whether it is still young enough to use
//! - `leases`, `taking`, `undo`: acquire, release, renew the generation; giving back what a call that
//!   failed may have got
//! - `servers`: which server is asked for which names; `cluster`, `slots`: the nodes of a Cluster
//! - `link`, `connect`: the connection to one server, never waited for longer than configured
//! - `health`, `metrics`, `unavailable`: what fails, told once
//! - `keys`, `scripts/*.lua`, `answer`: what stands in Redis, how it changes, what that answers

mod address;
mod answer;
mod cluster;
mod config;
mod connect;
mod health;
mod keys;
mod lease;
mod leases;
mod link;
mod metrics;
mod servers;
mod slots;
mod taking;
mod token;
mod unavailable;
mod undo;

pub use config::{ConfigError, LeaseConfig};
pub use lease::Lease;
pub use leases::{Free, GenerationError, Leases, Outcome, Released};
pub use metrics::describe_metrics;
pub use token::Token;
pub use unavailable::Unavailable;
