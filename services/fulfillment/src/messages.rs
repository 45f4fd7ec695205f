//! The domain as messages of the contract: for events and for answers.

use std::collections::BTreeMap;

use oms_core::{OrderLineId, ProposalId};
use oms_proto::common::v1 as common;
use oms_proto::fulfillment::v1 as pb;
use oms_proto::time_to_proto;

use crate::domain::fulfillment_order::{Dimensions, FulfillmentOrder, Line, LineUnits};
use crate::domain::packing::{PackSession, PackSessionState, Package, PackageLine};
use crate::domain::picking::{PickLine, PickLineState, PickList, PickListState, PickMethod, Wave};
use crate::domain::policy::ServiceLevel;
use crate::domain::sourcing::Proposal;
use crate::domain::state::{FloorStage, State};

/// Execution axis.
pub(crate) fn state(state: State) -> pb::FulfillmentOrderState {
    match state {
        State::Open => pb::FulfillmentOrderState::Open,
        State::OnHold => pb::FulfillmentOrderState::OnHold,
        State::InProgress => pb::FulfillmentOrderState::InProgress,
        State::Incomplete => pb::FulfillmentOrderState::Incomplete,
        State::Closed => pb::FulfillmentOrderState::Closed,
        State::Canceled => pb::FulfillmentOrderState::Canceled,
    }
}

/// Floor axis.
pub(crate) fn floor_stage(stage: FloorStage) -> pb::FloorStage {
    match stage {
        FloorStage::None => pb::FloorStage::Unspecified,
        FloorStage::Released => pb::FloorStage::Released,
        FloorStage::Picking => pb::FloorStage::Picking,
        FloorStage::Picked => pb::FloorStage::Picked,
        FloorStage::Packing => pb::FloorStage::Packing,
        FloorStage::Packed => pb::FloorStage::Packed,
    }
}

/// How fast.
pub(crate) fn service_level(level: ServiceLevel) -> common::ServiceLevel {
    match level {
        ServiceLevel::Ground => common::ServiceLevel::Ground,
        ServiceLevel::TwoDay => common::ServiceLevel::TwoDay,
        ServiceLevel::Overnight => common::ServiceLevel::Overnight,
        ServiceLevel::SameDay => common::ServiceLevel::SameDay,
    }
}

fn dimensions(dimensions: Dimensions) -> common::Dimensions {
    common::Dimensions {
        length_mm: dimensions.length_mm,
        width_mm: dimensions.width_mm,
        height_mm: dimensions.height_mm,
    }
}

fn destination(order: &FulfillmentOrder) -> common::Destination {
    common::Destination {
        address_id: order.destination.address_id.to_string(),
        country_code: order.destination.country_code.clone(),
        postal_code: order.destination.postal_code.clone(),
    }
}

/// A fulfillment order with what may be done to it now.
pub(crate) fn fulfillment_order(order: &FulfillmentOrder) -> pb::FulfillmentOrder {
    let supported = order
        .supported_actions()
        .into_iter()
        .map(|one| common::SupportedAction {
            action: one.action.to_owned(),
            allowed: one.refused_because.is_none(),
            reason: one.refused_because.unwrap_or_default(),
        });
    pb::FulfillmentOrder {
        fulfillment_order_id: order.id.to_string(),
        order_id: order.order_id.to_string(),
        order_number: order.order_number.clone(),
        location_id: order.location_id.to_string(),
        state: state(order.state).into(),
        floor_stage: floor_stage(order.stage).into(),
        lines: order.lines.iter().map(line).collect(),
        destination: Some(destination(order)),
        service_level: service_level(order.service_level).into(),
        priority: order.priority.into(),
        instructions: order.instructions.clone(),
        proposal_id: order
            .proposal_id
            .map(|id: ProposalId| id.to_string())
            .unwrap_or_default(),
        channel_id: order.channel_id.clone(),
        etag: order.version.to_string(),
        create_time: Some(time_to_proto(order.created_at)),
        update_time: Some(time_to_proto(order.updated_at)),
        supported_actions: supported.collect(),
    }
}

fn line(line: &Line) -> pb::FulfillmentOrderLine {
    pb::FulfillmentOrderLine {
        fulfillment_order_line_id: line.id.to_string(),
        order_line_id: line.order_line_id.to_string(),
        sku: line.item.sku.clone(),
        name: line.item.name.clone(),
        barcodes: line.item.barcodes.clone(),
        total: line.total,
        picked: line.picked,
        packed: line.packed,
        shipped: line.shipped,
        short: line.short,
        canceled: line.canceled,
        reservation_id: line.reservation_id.to_string(),
        lot: line.lot.clone(),
        mass_grams: line.item.mass_grams,
        dimensions: Some(dimensions(line.item.dimensions)),
    }
}

/// Units of lines with where and under which reservation they were allocated.
pub(crate) fn allocated_lines(
    order: &FulfillmentOrder,
    units: &[LineUnits],
) -> Vec<pb::AllocatedLine> {
    let lines = units
        .iter()
        .filter_map(|unit| order.line(unit.line_id).map(|line| (line, unit)));
    lines
        .map(|(line, unit)| pb::AllocatedLine {
            order_line_id: line.order_line_id.to_string(),
            sku: line.item.sku.clone(),
            location_id: order.location_id.to_string(),
            lot: line.lot.clone(),
            quantity: unit.quantity,
            reservation_id: line.reservation_id.to_string(),
        })
        .collect()
}

/// Units summed by order line, in the order of the fulfillment order's lines.
pub(crate) fn by_order_line(
    order: &FulfillmentOrder,
    units: &[LineUnits],
) -> Vec<(OrderLineId, i64)> {
    let mut sums: BTreeMap<OrderLineId, i64> = BTreeMap::new();
    for unit in units {
        if let Some(line) = order.line(unit.line_id) {
            *sums.entry(line.order_line_id).or_default() += unit.quantity;
        }
    }
    sums.into_iter().collect()
}

/// Units of an event with the counters after it, per order line.
pub(crate) fn line_progress(
    order: &FulfillmentOrder,
    units: &[LineUnits],
) -> Vec<pb::LineProgress> {
    let sums = by_order_line(order, units).into_iter();
    sums.map(|(order_line_id, quantity)| {
        let of_line = |counter: fn(&Line) -> i64| {
            let lines = order
                .lines
                .iter()
                .filter(|line| line.order_line_id == order_line_id);
            lines.map(counter).sum()
        };
        pb::LineProgress {
            order_line_id: order_line_id.to_string(),
            quantity,
            picked: of_line(|line| line.picked),
            packed: of_line(|line| line.packed),
        }
    })
    .collect()
}

/// A wave.
pub(crate) fn wave(wave: &Wave) -> pb::Wave {
    let method = match wave.method {
        PickMethod::Single => pb::PickMethod::Single,
        PickMethod::Batch => pb::PickMethod::Batch,
    };
    pb::Wave {
        wave_id: wave.id.to_string(),
        location_id: wave.location_id.to_string(),
        method: method.into(),
        fulfillment_order_ids: wave
            .fulfillment_order_ids
            .iter()
            .map(ToString::to_string)
            .collect(),
        pick_list_ids: wave.pick_list_ids.iter().map(ToString::to_string).collect(),
        create_time: Some(time_to_proto(wave.created_at)),
        actor: wave.released_by.clone(),
    }
}

/// State of a pick list.
pub(crate) fn pick_list_state(state: PickListState) -> pb::PickListState {
    match state {
        PickListState::Created => pb::PickListState::Created,
        PickListState::Assigned => pb::PickListState::Assigned,
        PickListState::InProgress => pb::PickListState::InProgress,
        PickListState::Completed => pb::PickListState::Completed,
        PickListState::Canceled => pb::PickListState::Canceled,
    }
}

/// A pick list.
pub(crate) fn pick_list(list: &PickList) -> pb::PickList {
    pb::PickList {
        pick_list_id: list.id.to_string(),
        wave_id: list.wave_id.to_string(),
        location_id: list.location_id.to_string(),
        state: pick_list_state(list.state).into(),
        assignee: list.assignee.clone(),
        lines: list.lines.iter().map(pick_line).collect(),
        etag: list.version.to_string(),
    }
}

fn pick_line(line: &PickLine) -> pb::PickLine {
    let state = match line.state() {
        PickLineState::Pending => pb::PickLineState::Pending,
        PickLineState::Picked => pb::PickLineState::Picked,
        PickLineState::Short => pb::PickLineState::Short,
        PickLineState::Canceled => pb::PickLineState::Canceled,
    };
    pb::PickLine {
        pick_line_id: line.id.to_string(),
        fulfillment_order_id: line.fulfillment_order_id.to_string(),
        fulfillment_order_line_id: line.fulfillment_order_line_id.to_string(),
        sku: line.item.sku.clone(),
        name: line.item.name.clone(),
        barcodes: line.item.barcodes.clone(),
        // What is canceled need not be picked any more.
        quantity: line.quantity - line.canceled,
        picked: line.picked,
        short: line.short,
        state: state.into(),
        picked_by: line.picked_by.clone(),
    }
}

/// A pack session; `order` is its fulfillment order, which knows the items.
pub(crate) fn pack_session(session: &PackSession, order: &FulfillmentOrder) -> pb::PackSession {
    let state = match session.state {
        PackSessionState::Open => pb::PackSessionState::Open,
        PackSessionState::Closed => pb::PackSessionState::Closed,
        PackSessionState::Abandoned => pb::PackSessionState::Abandoned,
    };
    pb::PackSession {
        pack_session_id: session.id.to_string(),
        fulfillment_order_id: session.fulfillment_order_id.to_string(),
        state: state.into(),
        packages: session
            .packages
            .iter()
            .map(|one| package(one, order))
            .collect(),
        packed_by: session.packed_by.clone(),
        etag: session.version.to_string(),
    }
}

fn package(package: &Package, order: &FulfillmentOrder) -> pb::PackedPackage {
    let lines = package.lines.iter();
    pb::PackedPackage {
        package_id: package.id.to_string(),
        package_number: package.number,
        lines: lines.filter_map(|line| package_line(line, order)).collect(),
        mass_grams: package.measures.map_or(0, |measures| measures.mass_grams),
        dimensions: package
            .measures
            .map(|measures| dimensions(measures.dimensions)),
    }
}

fn package_line(packed: &PackageLine, order: &FulfillmentOrder) -> Option<pb::PackedLine> {
    let line = order.line(packed.line_id)?;
    Some(pb::PackedLine {
        fulfillment_order_line_id: line.id.to_string(),
        order_line_id: line.order_line_id.to_string(),
        sku: line.item.sku.clone(),
        name: line.item.name.clone(),
        quantity: packed.quantity,
        reservation_id: line.reservation_id.to_string(),
        lot: line.lot.clone(),
    })
}

/// The event that hands a closed session to shipping.
pub(crate) fn packed(
    session: &PackSession,
    order: &FulfillmentOrder,
) -> pb::FulfillmentOrderPacked {
    pb::FulfillmentOrderPacked {
        fulfillment_order_id: order.id.to_string(),
        order_id: order.order_id.to_string(),
        order_number: order.order_number.clone(),
        location_id: order.location_id.to_string(),
        pack_session_id: session.id.to_string(),
        packages: session
            .packages
            .iter()
            .map(|one| package(one, order))
            .collect(),
        destination: Some(destination(order)),
        service_level: service_level(order.service_level).into(),
        channel_id: order.channel_id.clone(),
    }
}

/// A stored proposal with its outcomes.
pub(crate) fn proposal(proposal: &Proposal) -> pb::SourcingProposal {
    let nodes = proposal.ranked().map(|node| pb::RankedNode {
        location_id: node.location_id.to_string(),
        rank: node.rank.unwrap_or_default(),
        distance_km: node.distance_km,
        location_version: node.location_version,
        reason: node.reason.clone(),
    });
    // Every ranked node may serve every line: that is what an empty list means.
    let lines = proposal
        .demand
        .lines
        .iter()
        .map(|line| pb::LineEligibility {
            order_line_id: line.order_line_id.to_string(),
            location_ids: Vec::new(),
        });
    let outcomes = proposal.outcomes.iter().map(|outcome| pb::SourcingOutcome {
        location_id: outcome.location_id.to_string(),
        order_line_id: outcome.order_line_id.to_string(),
        quantity: outcome.quantity,
    });
    pb::SourcingProposal {
        proposal_id: proposal.id.to_string(),
        order_id: proposal.demand.order_id.to_string(),
        nodes: nodes.collect(),
        lines: lines.collect(),
        splits_max: proposal.splits_max,
        single_node_within_rank: proposal.single_node_within_rank,
        rule: proposal.rule.clone(),
        create_time: Some(time_to_proto(proposal.created_at)),
        outcomes: outcomes.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::machine::Named;

    fn agree<S: Named>(names: impl Fn(S) -> &'static str, prefix: &str) {
        for one in S::ALL {
            assert_eq!(names(*one), format!("{prefix}{}", one.name()));
        }
    }

    #[test]
    fn domain_and_contract_use_the_same_words() {
        agree(|one| state(one).as_str_name(), "FULFILLMENT_ORDER_STATE_");
        agree(|one| service_level(one).as_str_name(), "SERVICE_LEVEL_");
        agree(|one| pick_list_state(one).as_str_name(), "PICK_LIST_STATE_");
        for stage in FloorStage::ALL
            .iter()
            .filter(|stage| **stage != FloorStage::None)
        {
            assert_eq!(
                floor_stage(*stage).as_str_name(),
                format!("FLOOR_STAGE_{}", stage.name())
            );
        }
    }
}
