//! `oms smoke`: one real order through the public API of a running suite, followed until stock is allocated and money authorized,
//! then canceled until both are given back. It proves that the five services, their databases, Redis and the payment provider work
//! together.
//!
//! | module | what it is |
//! |---|---|
//! | [`command`] | the command line |
//! | `steps` | the way of the order |
//! | `looks` | what each step asks, and what it must see |
//! | `prepare` | channel, location, item and one unit of stock of its own |
//! | `calls` | calls that are made again while they may end otherwise, up to a time |
//! | [`Report`] | what happened |

mod calls;
mod command;
mod looks;
mod prepare;
mod report;
mod steps;

use std::time::Duration;

pub(crate) use command::{SmokeArgs, command};
pub use report::{Failure, Report, Step};
pub use steps::run;

/// What is ordered, and how long everything may take.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Channel of the order.
    pub channel_id: String,
    /// What is ordered: one unit.
    pub sku: String,
    /// Where it must be reserved.
    pub location_id: String,
    /// Currency of the channel.
    pub currency_code: String,
    /// Payment provider.
    pub provider: String,
    /// Its token, never a card number.
    pub payment_token: String,
    /// Whether channel, location, item and a unit of stock are made first.
    pub prepare: bool,
    /// Longest wait of each step.
    pub patience: Duration,
}
