//! Configuration of the service; every key is explained in `defaults.toml`.

use std::time::Duration;

use oms_core::LocationId;
use oms_service::Common;
use serde::Deserialize;

use crate::domain::sourcing::{NODES_MAX, Rules};

/// The embedded defaults.
pub(crate) const DEFAULTS: &str = include_str!("defaults.toml");

/// Everything the service is configured with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service has.
    pub common: Common,
    /// Where orders are fulfilled from.
    pub sourcing: Sourcing,
}

/// Rules of sourcing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sourcing {
    /// Name under which decisions are recorded; 1 to 64 characters.
    pub rule: String,
    /// Locations that are never used.
    pub excluded_location_ids: Vec<LocationId>,
    /// Most nodes in a proposal, 1 to 16.
    pub nodes_max: usize,
    /// Most nodes that may share an order beyond the first, 0 to 15, unless the order says otherwise.
    pub splits_max: i32,
    /// A single node within this rank that fills everything is taken before any split; 1 to 16.
    pub single_node_within_rank: i32,
    /// How long locations are remembered, in milliseconds.
    pub locations_ttl_ms: u64,
}

impl Sourcing {
    /// Checks what the types cannot say.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(1..=64).contains(&self.rule.chars().count()) {
            return Err("sourcing.rule: must have 1 to 64 characters".to_owned());
        }
        if !(1..=NODES_MAX).contains(&self.nodes_max) {
            return Err(format!("sourcing.nodes_max: must be 1 to {NODES_MAX}"));
        }
        if !(0..=15).contains(&self.splits_max) {
            return Err("sourcing.splits_max: must be 0 to 15".to_owned());
        }
        if !(1..=16).contains(&self.single_node_within_rank) {
            return Err("sourcing.single_node_within_rank: must be 1 to 16".to_owned());
        }
        Ok(())
    }

    /// The rules as the domain has them.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            name: self.rule.clone(),
            excluded_location_ids: self.excluded_location_ids.clone(),
            nodes_max: self.nodes_max,
            splits_max: self.splits_max,
            single_node_within_rank: self.single_node_within_rank,
        }
    }

    /// How long locations are remembered.
    pub(crate) fn locations_ttl(&self) -> Duration {
        Duration::from_millis(self.locations_ttl_ms)
    }
}
