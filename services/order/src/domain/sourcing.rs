//! Where an order may come from, as fulfillment proposed it and inventory wants to know it.

use std::collections::BTreeMap;

use oms_core::OrderLineId;
use serde::{Deserialize, Serialize};

/// A proposal of fulfillment. It takes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proposal {
    /// Id in the fulfillment service.
    pub(crate) proposal_id: String,
    /// Locations in the order of preference.
    pub(crate) ranked: Vec<String>,
    /// Locations that a line may come from; lines without an entry may come from all.
    pub(crate) eligible: BTreeMap<OrderLineId, Vec<String>>,
    /// Most locations beyond the first.
    pub(crate) splits_max: i32,
    /// A single location within this rank that fills everything is taken before any split.
    pub(crate) single_node_within_rank: i32,
}
