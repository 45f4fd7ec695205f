//! Holds.

use oms_core::{OrderId, OrderLineId};
use oms_proto::order::v1 as pb;
use oms_proto::time_to_proto;

use crate::domain::order::{Hold, HoldBlock};

/// A hold as clients see it.
pub(crate) fn hold(order_id: OrderId, hold: &Hold) -> pb::Hold {
    let state = if hold.active {
        pb::HoldState::Active
    } else {
        pb::HoldState::Released
    };
    pb::Hold {
        hold_id: hold.hold_id.to_string(),
        order_id: order_id.to_string(),
        order_line_id: hold
            .order_line_id
            .as_ref()
            .map(OrderLineId::to_string)
            .unwrap_or_default(),
        reason: hold_reason(&hold.reason).into(),
        blocks: hold
            .blocks
            .iter()
            .map(|block| hold_block(*block).into())
            .collect(),
        state: state.into(),
        note: hold.note.clone(),
        placed_by: hold.placed_by.clone(),
        create_time: Some(time_to_proto(hold.created_at)),
        release_at: hold.release_at.map(time_to_proto),
        released_by: hold.released_by.clone(),
        release_time: hold.released_at.map(time_to_proto),
    }
}

/// The reason by its stored name.
pub(crate) fn hold_reason(name: &str) -> pb::HoldReason {
    pb::HoldReason::from_str_name(&format!("HOLD_REASON_{name}")).unwrap_or(pb::HoldReason::Other)
}

/// What a hold stops.
pub(crate) fn hold_block(block: HoldBlock) -> pb::HoldBlock {
    match block {
        HoldBlock::Confirm => pb::HoldBlock::Confirm,
        HoldBlock::ReleaseToNode => pb::HoldBlock::ReleaseToNode,
        HoldBlock::Capture => pb::HoldBlock::Capture,
    }
}
