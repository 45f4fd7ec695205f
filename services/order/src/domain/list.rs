//! What lists select.

use oms_core::OrderId;
use time::OffsetDateTime;

/// What to list; empty fields select everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct OrderFilter {
    /// States by name.
    pub(crate) states: Vec<String>,
    /// Channel.
    pub(crate) channel_id: String,
    /// Customer.
    pub(crate) customer_id: String,
    /// Order number.
    pub(crate) order_number: String,
    /// Placed at or after.
    pub(crate) created_after: Option<OffsetDateTime>,
    /// Placed before.
    pub(crate) created_before: Option<OffsetDateTime>,
}

/// Which holds to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct HoldFilter {
    /// Only of this order.
    pub(crate) order_id: Option<OrderId>,
    /// Only those that stop something.
    pub(crate) active_only: bool,
    /// Only of orders of these channels; `None` for all.
    pub(crate) channels: Option<Vec<String>>,
}
