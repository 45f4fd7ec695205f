//! Configuration of the service; every key is explained in `defaults.toml`.

use oms_service::Common;
use serde::Deserialize;

use crate::domain::returns::RefundTiming;

/// The embedded defaults.
pub(crate) const DEFAULTS: &str = include_str!("defaults.toml");

/// Everything the service is configured with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service has.
    pub common: Common,
    /// What the deployment decides about returns.
    pub policy: Policy,
}

/// What the deployment decides about returns.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Location that returns go to when a request names none; empty to require one.
    pub default_location_id: String,
    /// When the money goes back when a request does not say: `ON_REQUEST`, `ON_RECEIPT` or `ON_INSPECTION`.
    pub refund_timing: String,
    /// Estimated mass of a returned package in grams.
    pub package_mass_grams: i64,
    /// Estimated dimensions of a returned package in millimetres, longest first.
    pub package_dimensions_mm: [i64; 3],
}

impl Policy {
    /// The refund timing; [`Policy::check`] has refused what is none.
    pub(crate) fn refund_timing(&self) -> RefundTiming {
        RefundTiming::parse(&self.refund_timing).unwrap_or(RefundTiming::OnInspection)
    }

    /// Checks what the types cannot say.
    pub(crate) fn check(&self) -> Result<(), String> {
        if RefundTiming::parse(&self.refund_timing).is_none() {
            return Err(format!(
                "policy.refund_timing: {:?} is none",
                self.refund_timing
            ));
        }
        if self.package_mass_grams < 1 || self.package_dimensions_mm.iter().any(|side| *side < 1) {
            return Err(
                "policy.package_mass_grams, package_dimensions_mm: must be positive".into(),
            );
        }
        Ok(())
    }
}
