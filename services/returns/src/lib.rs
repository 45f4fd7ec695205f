//! The returns service: return authorisations, receipts, inspections, dispositions and what they refund.

mod domain;
mod store;
