//! Configuration of the service; every key is explained in `defaults.toml`.

use oms_service::Common;
use serde::Deserialize;

use crate::carriers::WebhookConfig;

/// The embedded defaults.
pub(crate) const DEFAULTS: &str = include_str!("defaults.toml");

/// Everything the service is configured with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service has.
    pub common: Common,
    /// How carriers are dealt with.
    pub carriers: Carriers,
}

/// How carriers are dealt with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carriers {
    /// How often open effects are looked through, in milliseconds.
    pub reconcile_ms: u64,
    /// Webhooks of the built-in carrier.
    pub table_rate: WebhookConfig,
}

impl Carriers {
    /// Checks what the types cannot say.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.reconcile_ms == 0 {
            return Err("carriers.reconcile_ms: must be at least 1".to_owned());
        }
        self.table_rate
            .check()
            .map_err(|error| format!("carriers.table_rate.{error}"))
    }
}
