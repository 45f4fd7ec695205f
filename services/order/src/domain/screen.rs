//! Rules that hold an order for a look before anything is taken for it.

use super::new_order::Channel;
use super::order::Order;

/// A hold that a rule asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Name of the hold reason.
    pub(crate) reason: &'static str,
    /// What a person should look at.
    pub(crate) note: String,
}

/// What the rules find; nothing for most orders.
pub(crate) fn screen(order: &Order, channel: &Channel) -> Vec<Finding> {
    let limit = channel.outlier_quantity;
    if limit == 0 {
        return Vec::new();
    }
    let outlier = order.lines.iter().find(|line| line.ordered > limit);
    outlier
        .map(|line| Finding {
            reason: "QUANTITY_OUTLIER",
            note: format!(
                "line {} asks for {} units of {}, above the channel's {limit}",
                line.line_number, line.ordered, line.sku
            ),
        })
        .into_iter()
        .collect()
}
