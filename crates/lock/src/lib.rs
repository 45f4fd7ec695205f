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
//! - `config`: where Redis is and how long anything may take
//! - `token`, `lease`: what is got, and whether it is still young enough to use
//! - `leases`: acquire, release, renew the generation
//! - `link`: one connection, never waited for longer than configured
//! - `keys`, `scripts/*.lua`, `answer`: what stands in Redis, how it changes, what that answers

mod answer;
mod config;
mod keys;
mod lease;
mod leases;
mod link;
mod token;

pub use config::{ConfigError, LeaseConfig, Placement};
pub use lease::Lease;
pub use leases::{Free, GenerationError, Leases, Outcome};
pub use link::Unavailable;
pub use token::Token;
