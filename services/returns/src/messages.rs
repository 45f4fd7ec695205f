//! Returns and facts about them as messages of the contract. Used by the answers and by the events.

use oms_proto::common::v1::{Destination, Money, SupportedAction};
use oms_proto::returns::v1 as proto;
use oms_proto::returns::v1::returns_event::Event;
use oms_proto::time_to_proto;

use crate::domain::event::{Fact, LineUnits};
use crate::domain::returns::{Disposition, RefundTiming, RefundUnits, Return, ReturnLine};
use crate::domain::state::{self, ReturnState};

/// A return.
pub(crate) fn ret(ret: &Return) -> proto::Return {
    proto::Return {
        return_id: ret.return_id.to_string(),
        order_id: ret.order_id.to_string(),
        order_number: ret.order_number.clone(),
        state: state_of(ret.state).into(),
        lines: ret.lines.iter().map(line).collect(),
        refund_timing: timing(ret.refund_timing).into(),
        location_id: ret.location_id.to_string(),
        origin: Some(Destination {
            address_id: ret.origin_address_id.clone(),
            country_code: ret.origin_country_code.clone(),
            postal_code: ret.origin_postal_code.clone(),
        }),
        shipment_id: ret.shipment_id.map(|id| id.to_string()).unwrap_or_default(),
        tracking_number: ret.tracking_number.clone(),
        refunded: Some(Money {
            currency_code: ret.currency.clone(),
            minor_units: ret.refunded,
        }),
        reason: ret.reason.clone(),
        channel_id: ret.channel_id.clone(),
        etag: oms_service::etag(ret.version),
        create_time: Some(time_to_proto(ret.created_at)),
        update_time: Some(time_to_proto(ret.updated_at)),
        supported_actions: actions(ret),
    }
}

fn actions(ret: &Return) -> Vec<SupportedAction> {
    let action = |(name, _): &(&'static str, &[state::ReturnAction])| {
        let obstacle = ret.obstacle(name);
        SupportedAction {
            action: (*name).to_owned(),
            allowed: obstacle.is_none(),
            reason: obstacle.unwrap_or_default(),
        }
    };
    state::CLIENT_ACTIONS.iter().map(action).collect()
}

fn line(line: &ReturnLine) -> proto::ReturnLine {
    let money = format!("RETURN_MONEY_STATE_{}", line.money_state());
    let condition = format!("RETURN_CONDITION_{}", line.condition);
    proto::ReturnLine {
        return_line_id: line.return_line_id.to_string(),
        order_line_id: line.order_line_id.to_string(),
        sku: line.sku.clone(),
        name: line.name.clone(),
        advised: line.advised,
        received: line.received,
        inspected: line.inspected,
        restocked: line.restocked,
        quarantined: line.quarantined,
        scrapped: line.scrapped,
        refund_quantity: line.refund_triggered,
        money_state: proto::ReturnMoneyState::from_str_name(&money)
            .unwrap_or_default()
            .into(),
        reason: line.reason.clone(),
        condition: proto::ReturnCondition::from_str_name(&condition)
            .unwrap_or_default()
            .into(),
    }
}

/// A state.
pub(crate) fn state_of(state: ReturnState) -> proto::ReturnState {
    let name = format!("RETURN_STATE_{}", state.as_str());
    proto::ReturnState::from_str_name(&name).unwrap_or_default()
}

fn timing(timing: RefundTiming) -> proto::RefundTiming {
    match timing {
        RefundTiming::OnRequest => proto::RefundTiming::OnRequest,
        RefundTiming::OnReceipt => proto::RefundTiming::OnReceipt,
        RefundTiming::OnInspection => proto::RefundTiming::OnInspection,
    }
}

/// A fact as an event of the feed.
pub(crate) fn event(ret_after: &Return, fact: &Fact) -> Event {
    let (return_id, order_id) = (
        ret_after.return_id.to_string(),
        ret_after.order_id.to_string(),
    );
    let location_id = ret_after.location_id.to_string();
    match fact {
        Fact::StateChanged(action) => Event::ReturnStateChanged(proto::ReturnStateChanged {
            return_order: Some(ret(ret_after)),
            action: (*action).to_owned(),
        }),
        Fact::Received(lines) => Event::ReturnReceived(proto::ReturnReceived {
            return_id,
            order_id,
            location_id,
            lines: lines.iter().map(units).collect(),
        }),
        Fact::Inspected(lines) => Event::ReturnInspected(proto::ReturnInspected {
            return_id,
            order_id,
            lines: lines.iter().map(units).collect(),
        }),
        Fact::Disposed(lines) => Event::ReturnDisposed(proto::ReturnDisposed {
            return_id,
            order_id,
            location_id,
            lines: lines
                .iter()
                .map(|(part, disposition)| proto::DisposedUnits {
                    units: Some(units(part)),
                    disposition: disposed(*disposition).into(),
                })
                .collect(),
        }),
        Fact::RefundTriggered(refund_id, lines) => {
            Event::ReturnRefundTriggered(proto::ReturnRefundTriggered {
                return_id,
                order_id,
                refund_id: refund_id.to_string(),
                lines: lines.iter().map(refund_units).collect(),
            })
        }
    }
}

fn units(units: &LineUnits) -> proto::ReturnedUnits {
    proto::ReturnedUnits {
        return_line_id: units.return_line_id.to_string(),
        order_line_id: units.order_line_id.to_string(),
        sku: units.sku.clone(),
        quantity: units.quantity,
    }
}

fn refund_units(units: &RefundUnits) -> proto::ReturnedUnits {
    proto::ReturnedUnits {
        return_line_id: units.return_line_id.to_string(),
        order_line_id: units.order_line_id.to_string(),
        sku: units.sku.clone(),
        quantity: units.quantity,
    }
}

fn disposed(disposition: Disposition) -> proto::Disposition {
    match disposition {
        Disposition::Restock => proto::Disposition::Restock,
        Disposition::Quarantine => proto::Disposition::Quarantine,
        Disposition::Scrap => proto::Disposition::Scrap,
    }
}
