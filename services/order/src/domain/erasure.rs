//! Whose personal data is kept, and that it was erased.

use oms_core::OrderId;
use time::OffsetDateTime;
use uuid::Uuid;

/// Whose personal data: all under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A customer, by the id in the caller's system.
    Customer(String),
    /// Whoever is behind an order that names no customer.
    Order(OrderId),
}

impl Subject {
    /// Whose an order's data is.
    pub(crate) fn of(order_id: OrderId, customer_id: &str) -> Self {
        if customer_id.is_empty() {
            return Self::Order(order_id);
        }
        Self::Customer(customer_id.to_owned())
    }

    /// Customer and order as rows have them; empty and `None` where it is the other.
    pub(crate) fn columns(&self) -> (&str, Option<Uuid>) {
        match self {
            Self::Customer(customer_id) => (customer_id, None),
            Self::Order(order_id) => ("", Some(order_id.uuid())),
        }
    }

    /// Its id for people, logs and events.
    pub(crate) fn id(&self) -> String {
        match self {
            Self::Customer(customer_id) => customer_id.clone(),
            Self::Order(order_id) => order_id.to_string(),
        }
    }
}

/// That a subject's personal data was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Erasure {
    /// Events that have told of it so far. They rise: who orders again can be erased again.
    pub(crate) told: i64,
    /// When, the last time.
    pub(crate) erased_at: OffsetDateTime,
}
