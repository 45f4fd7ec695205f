//! Configuration: the embedded defaults in `config.toml` document every key.

use oms_service::Common;
use serde::Deserialize;

/// The embedded defaults.
pub(crate) const DEFAULTS: &str = include_str!("config.toml");

/// Configuration of the order service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service has.
    pub common: Common,
    /// The place-order saga.
    pub saga: SagaConfig,
    /// Payments.
    pub payments: PaymentsConfig,
    /// Durable tasks.
    pub tasks: TasksConfig,
}

/// The place-order saga. Times are in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SagaConfig {
    /// Sagas that one replica works on at once.
    pub concurrency: usize,
    /// Longest pause between two looks for due sagas.
    pub poll_ms: u64,
    /// Time after which another replica takes a saga over.
    pub lease_ms: u64,
    /// First pause after a failure; it doubles with each.
    pub backoff_first_ms: u64,
    /// Longest pause after a failure.
    pub backoff_most_ms: u64,
    /// Failures of one step in a row after which the saga waits for a person.
    pub failures_max: i32,
    /// Time for which stock is held; extended while the saga waits.
    pub reservation_ttl_ms: u64,
    /// Longest time for which stock is held while a hold stops the order; then it is given back.
    pub reservation_most_ms: u64,
    /// Age at which a PENDING order expires.
    pub pending_most_ms: u64,
    /// Longest wait of PlaceOrder for the confirmation, and the wait when the caller gives no deadline.
    pub wait_most_ms: u64,
}

/// Payments. Times are in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentsConfig {
    /// Age at which a call without an answer is looked into.
    pub reconcile_after_ms: u64,
    /// Pause between two rounds of looking.
    pub reconcile_poll_ms: u64,
}

/// Durable tasks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TasksConfig {
    /// Tasks that one replica works on at once.
    pub concurrency: usize,
}
