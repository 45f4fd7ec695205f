//! The order service: orders, lines, holds, payments, invoices and the order-to-cash saga.

mod domain;
mod store;
