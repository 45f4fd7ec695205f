//! The rules of orders and their money. Pure: no async, SQL, gRPC, clock or randomness.
//!
//! | room | what it decides |
//! |---|---|
//! | [`assemble`] | what becomes of it when nothing is |
//! | [`order`], [`timeline`] | what an order is made of, and its history |
//! | [`state`] | which command is legal in which state |
//! | [`list`] | what lists select |
//! | [`pricing`] | what an order costs, split over lines and units |
//! | [`status`] | what is derived: authorize, charge, fulfillment and return status, phase |
//! | [`saga`], [`screen`] | what the place-order saga does next, which orders it holds for a look |
//! | [`sourcing`], [`reservation`], [`release`] | where it may come from, what inventory reserved, and what of it is handed to fulfillment |
//! | [`tender`] | what an order is paid with, and how an amount is shared among that |
//! | [`payment`], [`capture`], [`refund`], [`invoice`] | what is asked of providers, over which authorizations and captures, and what is billed |
//! | [`renewal`] | authorizations that run out |
//! | [`credit`] | what a customer may spend without paying now |
//! | [`collection`] | what the carrier takes at the door |
//! | [`cancellation`], [`cancellation_plan`] | what is asked of others who may refuse |
//! | [`erasure`] | whose personal data is kept under one key |
//! | [`settlement`] | when an order is at its end |
//! | [`webhook`], [`webhook_target`] | which events go to endpoints outside, when again, and where they must not go |

pub(crate) mod address;
pub(crate) mod assemble;
pub(crate) mod cancellation;
pub(crate) mod cancellation_plan;
pub(crate) mod capture;
pub(crate) mod collection;
pub(crate) mod credit;
pub(crate) mod erasure;
pub(crate) mod invoice;
pub(crate) mod list;
pub(crate) mod new_order;
pub(crate) mod order;
pub(crate) mod payment;
pub(crate) mod pricing;
pub(crate) mod refund;
pub(crate) mod release;
pub(crate) mod renewal;
pub(crate) mod reservation;
pub(crate) mod ruling;
pub(crate) mod saga;
pub(crate) mod screen;
pub(crate) mod settlement;
pub(crate) mod sourcing;
pub(crate) mod stage;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod tender;
pub(crate) mod timeline;
pub(crate) mod webhook;
pub(crate) mod webhook_target;
