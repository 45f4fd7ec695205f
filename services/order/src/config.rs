//! Configuration: the embedded defaults in `defaults.toml` document every key.

use std::path::PathBuf;

use oms_service::Common;
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use crate::domain::payment::{Payment, PaymentKind};
use crate::payments::sandbox::SandboxConfig;
use crate::payments::stripe::{self, StripeConfig};

/// The embedded defaults.
pub(crate) const DEFAULTS: &str = include_str!("defaults.toml");

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

impl Config {
    /// What types cannot say; the text names the key.
    pub(crate) fn check(&self) -> Result<(), String> {
        let saga = &self.saga;
        for (key, value) in [
            ("saga.poll_ms", saga.poll_ms),
            ("saga.lease_ms", saga.lease_ms),
            ("saga.backoff_first_ms", saga.backoff_first_ms),
            ("saga.reservation_ttl_ms", saga.reservation_ttl_ms),
            ("saga.pending_most_ms", saga.pending_most_ms),
            ("payments.timeout_ms", self.payments.timeout_ms),
            (
                "payments.reconcile_after_ms",
                self.payments.reconcile_after_ms,
            ),
            ("payments.renew_before_ms", self.payments.renew_before_ms),
            (
                "payments.reconcile_poll_ms",
                self.payments.reconcile_poll_ms,
            ),
        ] {
            if value == 0 {
                return Err(format!("{key}: must be at least 1"));
            }
        }
        if !(1_000..=3_600_000).contains(&saga.reservation_ttl_ms) {
            return Err("saga.reservation_ttl_ms: must be between 1000 and 3600000".to_owned());
        }
        if self.payments.timeout_ms >= self.payments.reconcile_after_ms {
            return Err("payments.reconcile_after_ms: must be longer than timeout_ms".to_owned());
        }
        let sandbox = &self.payments.sandbox.url;
        if !sandbox.is_empty() && !has_scheme(sandbox, "http") {
            return Err("payments.sandbox.url: must be http://host:port, or empty".to_owned());
        }
        let stripe = &self.payments.stripe.url;
        let is_local = self.common.insecure_dev && has_scheme(stripe, "http");
        if !is_local && !has_scheme(stripe, "https") {
            return Err(
                "payments.stripe.url: must be https://host (http:// only with insecure_dev)"
                    .to_owned(),
            );
        }
        if saga.failpoints.is_some() && !self.common.insecure_dev {
            return Err("saga.failpoints: only with insecure_dev".to_owned());
        }
        if saga.failures_max < 1 {
            return Err("saga.failures_max: must be at least 1".to_owned());
        }
        if saga.concurrency == 0 || self.tasks.concurrency == 0 {
            return Err("saga.concurrency, tasks.concurrency: must be at least 1".to_owned());
        }
        Ok(())
    }
}

fn has_scheme(url: &str, scheme: &str) -> bool {
    let uri = url.parse::<http::Uri>().ok();
    uri.is_some_and(|uri| uri.authority().is_some() && uri.scheme_str() == Some(scheme))
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
    /// For the crash suite, under `insecure_dev` only: a folder; see `Ctx::failpoint`.
    pub failpoints: Option<PathBuf>,
}

/// Payments. Times are in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentsConfig {
    /// Longest wait for a provider's answer; after that the payment is in doubt.
    pub timeout_ms: u64,
    /// Age at which a call without an answer is looked into; longer than the wait.
    pub reconcile_after_ms: u64,
    /// Pause between two rounds of looking.
    pub reconcile_poll_ms: u64,
    /// So long before its end an authorization is renewed; one that lasts less than twice as long, after half of its time.
    pub renew_before_ms: u64,
    /// The sandbox provider.
    pub sandbox: SandboxConfig,
    /// Stripe.
    pub stripe: StripeConfig,
}

impl PaymentsConfig {
    /// When an authorization ends: as its provider told, else as it is configured; `None` for everything else.
    pub(crate) fn expiry(
        &self,
        payment: &Payment,
        told: Option<OffsetDateTime>,
    ) -> Option<OffsetDateTime> {
        if payment.kind != PaymentKind::Authorization {
            return None;
        }
        let days = match payment.provider.as_str() {
            stripe::NAME => self.stripe.authorization_days,
            _ => 0,
        };
        let configured = payment.created_at + Duration::days(days.into());
        told.or((days > 0).then_some(configured))
    }
}

/// Durable tasks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TasksConfig {
    /// Tasks that one replica works on at once.
    pub concurrency: usize,
}
