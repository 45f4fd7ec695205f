//! The rules of the warehouse. Pure: no async, SQL, gRPC, clock or randomness.
//!
//! | room | what it decides |
//! |---|---|
//! | [`machine`] | what all transition tables share: lookup, supported actions, diagram |
//! | [`creation`] | how allocated units become fulfillment orders |
//! | [`state`] | the two axes of a fulfillment order |
//! | [`fulfillment_order`] | the counters of a fulfillment order and what may be done to it |
//! | [`picking`] | pick lists and their lines, walking order |
//! | [`packing`] | pack sessions and packages |
//! | [`sourcing`] | which locations an order may be fulfilled from, best first |
//! | [`short`] | units that were not found |
//! | [`policy`] | fill policies and service levels |
//! | [`refusal`] | why a command is refused |

pub(crate) mod creation;
pub(crate) mod fulfillment_order;
pub(crate) mod machine;
pub(crate) mod packing;
pub(crate) mod picking;
pub(crate) mod policy;
pub(crate) mod refusal;
pub(crate) mod short;
pub(crate) mod sourcing;
pub(crate) mod state;
