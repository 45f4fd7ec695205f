//! Configuration: the embedded defaults in `defaults.toml` document every key.

use std::path::PathBuf;

use oms_service::Common;
use serde::Deserialize;
use time::{Duration, OffsetDateTime, Time, UtcOffset};

use crate::domain::order::Order;
use crate::domain::payment::{Payment, PaymentKind};
use crate::domain::stage::{Promise, deadlines};
use crate::payments::sandbox::SandboxConfig;
use crate::payments::stripe::{self, StripeConfig};
use crate::privacy::PrivacyConfig;
use crate::webhooks::config::WebhooksConfig;

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
    /// Personal data.
    pub privacy: PrivacyConfig,
    /// Durable tasks.
    pub tasks: TasksConfig,
    /// By when what should be done with an order.
    pub deadlines: DeadlinesConfig,
    /// Webhooks to endpoints outside.
    pub webhooks: WebhooksConfig,
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
            ("deadlines.gauges_ms", self.deadlines.gauges_ms),
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
        self.deadlines.check()?;
        self.privacy.check()?;
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
        if self.payments.calls_max == 0 || self.payments.failures_max == 0 {
            return Err("payments.calls_max, payments.failures_max: must be at least 1".to_owned());
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
        self.webhooks.check()
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
    /// Calls of one provider in work at once, in one replica: fewer than the places of sagas and of tasks.
    pub calls_max: usize,
    /// Calls without an answer in a row after which a provider is left alone.
    pub failures_max: u32,
    /// How long it is left alone before one call looks whether it is back.
    pub pause_ms: u64,
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

/// Deadlines are fixed when an order is placed; a change is for later orders. Times are in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadlinesConfig {
    /// Time zone of `cutoff` and `ship_until`, in minutes east of UTC.
    pub utc_offset_minutes: i32,
    /// Orders placed later, such as `14:00`, count to the next day.
    pub cutoff: String,
    /// Parcels of a day are handed over until then.
    pub ship_until: String,
    /// Saturdays and Sundays count as other days.
    pub weekends: bool,
    /// Days from the day an order counts to until it is handed over, by service level.
    pub days: DaysConfig,
    /// Longest time until stock and payment are there.
    pub authorize_within_ms: u64,
    /// Longest time until fulfillment has it.
    pub release_within_ms: u64,
    /// Time that packing and handing over need before the promise.
    pub pick_before_ms: u64,
    /// How long before its deadline an order is at risk.
    pub at_risk_ms: u64,
    /// Pause between two looks at the backlog for metrics.
    pub gauges_ms: u64,
}

/// Days by service level; 0 is the day that the order counts to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaysConfig {
    /// `SAME_DAY`
    pub same_day: u8,
    /// `OVERNIGHT`
    pub overnight: u8,
    /// `TWO_DAY`
    pub two_day: u8,
    /// `GROUND`
    pub ground: u8,
}

impl DeadlinesConfig {
    /// What types cannot say.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (key, text) in [("cutoff", &self.cutoff), ("ship_until", &self.ship_until)] {
            if time_of_day(text).is_none() {
                return Err(format!(
                    "deadlines.{key}: must be a time of day such as 14:00"
                ));
            }
        }
        if self.offset().is_none() {
            return Err("deadlines.utc_offset_minutes: must be between -1439 and 1439".to_owned());
        }
        let days = &self.days;
        if [days.same_day, days.overnight, days.two_day, days.ground]
            .iter()
            .any(|days| *days > 60)
        {
            return Err("deadlines.days: must be at most 60".to_owned());
        }
        Ok(())
    }

    /// How long before its deadline an order is at risk.
    pub(crate) fn at_risk(&self) -> Duration {
        millis(self.at_risk_ms)
    }

    /// Gives a new order its deadlines; `promised` is a promise that the shop made to the customer.
    pub(crate) fn set(&self, order: &mut Order, promised: Option<OffsetDateTime>) {
        let promise = self.promise(&order.service_level);
        order.deadlines = Some(deadlines(&promise, order.created_at, promised));
    }

    fn promise(&self, service_level: &str) -> Promise {
        let days = &self.days;
        Promise {
            offset: self.offset().unwrap_or(UtcOffset::UTC),
            // Checked at the start.
            cutoff: time_of_day(&self.cutoff).unwrap_or(Time::MIDNIGHT),
            ship_until: time_of_day(&self.ship_until).unwrap_or(Time::MIDNIGHT),
            weekends: self.weekends,
            days: match service_level {
                "SAME_DAY" => days.same_day,
                "OVERNIGHT" => days.overnight,
                "TWO_DAY" => days.two_day,
                _ => days.ground,
            },
            authorize_within: millis(self.authorize_within_ms),
            release_within: millis(self.release_within_ms),
            pick_before: millis(self.pick_before_ms),
        }
    }

    fn offset(&self) -> Option<UtcOffset> {
        let minutes = self.utc_offset_minutes.checked_mul(60)?;
        UtcOffset::from_whole_seconds(minutes)
            .ok()
            .filter(|_| self.utc_offset_minutes.abs() < 24 * 60)
    }
}

fn millis(millis: u64) -> Duration {
    Duration::milliseconds(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// `14:00`
fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    Time::from_hms(hour.parse().ok()?, minute.parse().ok()?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_read() {
        assert_eq!(time_of_day("14:05"), Time::from_hms(14, 5, 0).ok());
        for wrong in ["", "14", "24:00", "14:60", "x:y", "14:00:00"] {
            assert_eq!(time_of_day(wrong), None, "{wrong:?}");
        }
    }
}
