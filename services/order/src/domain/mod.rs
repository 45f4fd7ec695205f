//! The rules of orders and their money. Pure: no async, SQL, gRPC, clock or randomness.
//!
//! | room | what it decides |
//! |---|---|
//! | [`new_order`], [`address`], [`free_text`] | what may be wrong with an order that comes in |
//! | [`order`] | what an order is made of |
//! | [`state`] | which command is legal in which state |
//! | [`pricing`] | what an order costs, split over lines and units |
//! | [`status`] | what is derived: authorize, charge, fulfillment and return status, phase |
//! | [`saga`] | what the place-order saga does next |

pub(crate) mod address;
pub(crate) mod free_text;
pub(crate) mod new_order;
pub(crate) mod order;
pub(crate) mod pricing;
pub(crate) mod saga;
pub(crate) mod state;
pub(crate) mod status;
