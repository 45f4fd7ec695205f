//! What the service tells others about a return.

use oms_core::OrderLineId;
use uuid::Uuid;

use super::returns::{Disposition, RefundUnits, Return, Units};

/// Units of one line that a fact is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineUnits {
    /// Return line.
    pub(crate) return_line_id: Uuid,
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// SKU.
    pub(crate) sku: String,
    /// Units.
    pub(crate) quantity: i64,
}

/// Something that happened to a return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    /// Its state changed by this action.
    StateChanged(&'static str),
    /// Units arrived.
    Received(Vec<LineUnits>),
    /// Units were looked at.
    Inspected(Vec<LineUnits>),
    /// Units were disposed of.
    Disposed(Vec<(LineUnits, Disposition)>),
    /// Units reached their refund point; the id is the same for the same units.
    RefundTriggered(Uuid, Vec<RefundUnits>),
}

impl Return {
    /// Tells units of a command by line. Units of unknown lines are left out; the rules refuse them.
    pub(crate) fn line_units(&self, units: &Units) -> Option<LineUnits> {
        let line = self
            .lines
            .iter()
            .find(|line| line.return_line_id == units.return_line_id)?;
        Some(LineUnits {
            return_line_id: line.return_line_id,
            order_line_id: line.order_line_id,
            sku: line.sku.clone(),
            quantity: units.quantity,
        })
    }
}
