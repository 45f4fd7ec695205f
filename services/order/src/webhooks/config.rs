//! Settings of webhooks.

use ipnet::IpNet;
use serde::Deserialize;

use crate::domain::webhook_target::Guard;

/// Webhooks to endpoints outside. Times are in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhooksConfig {
    /// Requests that are under way at once in one replica.
    pub concurrency: usize,
    /// Of them to one endpoint; one while the endpoint fails.
    pub concurrency_per_endpoint: usize,
    /// Longest wait for a whole answer.
    pub timeout_ms: u64,
    /// Longest pause between two looks for due deliveries and new events.
    pub poll_ms: u64,
    /// Ports that endpoints may have.
    pub ports: Vec<u16>,
    /// Private networks that endpoints may be in, such as `10.20.0.0/16`.
    pub allowed_networks: Vec<String>,
    /// An endpoint that has accepted nothing for so long is disabled.
    pub disable_after_hours: u32,
    /// Deliveries are forgotten after this.
    pub kept_days: u32,
}

impl WebhooksConfig {
    /// What types cannot say; the text names the key.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.concurrency == 0 || self.concurrency_per_endpoint == 0 {
            return Err(
                "webhooks.concurrency, webhooks.concurrency_per_endpoint: must be at least 1"
                    .to_owned(),
            );
        }
        if self.timeout_ms == 0 || self.poll_ms == 0 {
            return Err("webhooks.timeout_ms, webhooks.poll_ms: must be at least 1".to_owned());
        }
        if self.ports.is_empty() {
            return Err("webhooks.ports: must name a port".to_owned());
        }
        if self.disable_after_hours == 0 || self.kept_days == 0 {
            return Err(
                "webhooks.disable_after_hours, webhooks.kept_days: must be at least 1".to_owned(),
            );
        }
        for network in &self.allowed_networks {
            if network.parse::<IpNet>().is_err() {
                return Err(format!(
                    "webhooks.allowed_networks: {network:?} is not address/prefix"
                ));
            }
        }
        Ok(())
    }

    /// Where webhooks may go; networks were checked before.
    pub(super) fn guard(&self, insecure_dev: bool) -> Guard {
        let networks = self.allowed_networks.iter();
        Guard {
            ports: self.ports.clone(),
            networks: networks.filter_map(|net| net.parse().ok()).collect(),
            allows_loopback: insecure_dev,
        }
    }
}
