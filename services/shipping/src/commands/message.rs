//! Shipments as messages of the contract: the same in answers and in events.

use oms_core::Money;
use oms_proto::common::v1 as common;
use oms_proto::shipping::v1 as pb;
use oms_proto::time_to_proto;

use crate::domain::label::LabelState;
use crate::domain::rates::ServiceLevel;
use crate::domain::shipment::{Direction, Package, PackageLine, Shipment};
use crate::domain::state::ShipmentState;
use crate::domain::tracking::TrackingStatus;
use crate::store::tracking::TrackingEvent;

/// A shipment as answers show it.
pub(crate) fn shipment(shipment: &Shipment) -> pb::Shipment {
    let actions = shipment.client_actions().into_iter();
    let supported_actions = actions.map(|(action, against)| common::SupportedAction {
        action: action.as_str().to_owned(),
        allowed: against.is_none(),
        reason: against.unwrap_or_default(),
    });
    pb::Shipment {
        supported_actions: supported_actions.collect(),
        ..fact(shipment)
    }
}

/// A shipment as events carry it: what may be done with it would be stale when the event is read.
pub(crate) fn fact(shipment: &Shipment) -> pb::Shipment {
    // Until the carrier sold it, a label is a wish; of a voided one nothing is left.
    let label = shipment.label.as_ref();
    let bought = label.filter(|label| label.state.is_on_packages());
    pb::Shipment {
        shipment_id: shipment.id.to_string(),
        order_id: shipment.order_id.to_string(),
        order_number: shipment.order_number.clone(),
        fulfillment_order_id: text(shipment.fulfillment_order_id),
        pack_session_id: text(shipment.pack_session_id),
        return_id: text(shipment.return_id),
        direction: direction(shipment.direction).into(),
        state: state(shipment.state).into(),
        location_id: shipment.location_id.to_string(),
        destination: Some(common::Destination {
            address_id: text(shipment.destination.address_id),
            country_code: shipment.destination.country_code.clone(),
            postal_code: shipment.destination.postal_code.clone(),
        }),
        service_level: service_level(shipment.service_level).into(),
        carrier_id: bought
            .map(|label| label.carrier_id.clone())
            .unwrap_or_default(),
        carrier_service: bought
            .map(|label| label.carrier_service.clone())
            .unwrap_or_default(),
        cost: bought.map(|label| money(label.cost)),
        expected_delivery_time: bought.map(|label| time_to_proto(label.expected_delivery_at)),
        packages: shipment.packages.iter().map(package).collect(),
        label_state: label_state(shipment.label_state()).into(),
        label_failure: label.map(|label| label.failure.clone()).unwrap_or_default(),
        channel_id: shipment.channel_id.clone(),
        etag: oms_service::etag(shipment.version),
        create_time: Some(time_to_proto(shipment.created_at)),
        ship_time: shipment.shipped_at.map(time_to_proto),
        supported_actions: Vec::new(),
    }
}

/// A report as answers and events show it.
pub(crate) fn tracking_event(event: &TrackingEvent) -> pb::TrackingEvent {
    pb::TrackingEvent {
        carrier_event_id: event.carrier_event_id.clone(),
        package_id: event.package_id.to_string(),
        status: tracking_status(Some(event.status)).into(),
        description: event.description.clone(),
        occur_time: Some(time_to_proto(event.occurred_at)),
        record_time: Some(time_to_proto(event.recorded_at)),
        applied: event.applied,
    }
}

/// An amount.
pub(crate) fn money(money: Money) -> common::Money {
    common::Money {
        currency_code: money.currency.code().to_owned(),
        minor_units: money.minor,
    }
}

/// A service level.
pub(crate) fn service_level(level: ServiceLevel) -> common::ServiceLevel {
    match level {
        ServiceLevel::Ground => common::ServiceLevel::Ground,
        ServiceLevel::TwoDay => common::ServiceLevel::TwoDay,
        ServiceLevel::Overnight => common::ServiceLevel::Overnight,
        ServiceLevel::SameDay => common::ServiceLevel::SameDay,
    }
}

fn package(package: &Package) -> pb::Package {
    let [length_mm, width_mm, height_mm] = package.parcel.dimensions_mm;
    pb::Package {
        package_id: package.id.to_string(),
        package_number: package.number,
        lines: package.lines.iter().map(line).collect(),
        mass_grams: package.parcel.mass_grams,
        dimensions: Some(common::Dimensions {
            length_mm,
            width_mm,
            height_mm,
        }),
        tracking_number: package.tracking_number.clone(),
        tracking_status: tracking_status(package.report.map(|report| report.status)).into(),
    }
}

fn line(line: &PackageLine) -> pb::PackageLine {
    pb::PackageLine {
        order_line_id: line.order_line_id.to_string(),
        sku: line.sku.to_string(),
        name: line.name.clone(),
        quantity: line.quantity,
        reservation_id: text(line.reservation_id),
        lot: line.lot.clone(),
        fulfillment_order_line_id: text(line.fulfillment_order_line_id),
    }
}

fn text(id: Option<impl ToString>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn direction(direction: Direction) -> pb::ShipmentDirection {
    match direction {
        Direction::Outbound => pb::ShipmentDirection::Outbound,
        Direction::Return => pb::ShipmentDirection::Return,
    }
}

fn state(state: ShipmentState) -> pb::ShipmentState {
    match state {
        ShipmentState::Draft => pb::ShipmentState::Draft,
        ShipmentState::Labeled => pb::ShipmentState::Labeled,
        ShipmentState::Shipped => pb::ShipmentState::Shipped,
        ShipmentState::Delivered => pb::ShipmentState::Delivered,
        ShipmentState::DeliveryFailed => pb::ShipmentState::DeliveryFailed,
        ShipmentState::Canceled => pb::ShipmentState::Canceled,
    }
}

fn label_state(state: Option<LabelState>) -> pb::LabelState {
    match state {
        None => pb::LabelState::Unspecified,
        Some(LabelState::Requested) => pb::LabelState::Requested,
        Some(LabelState::Purchased) => pb::LabelState::Purchased,
        Some(LabelState::VoidRequested) => pb::LabelState::VoidRequested,
        Some(LabelState::Voided) => pb::LabelState::Voided,
        Some(LabelState::Failed) => pb::LabelState::Failed,
        Some(LabelState::InDoubt) => pb::LabelState::InDoubt,
    }
}

fn tracking_status(status: Option<TrackingStatus>) -> pb::TrackingStatus {
    match status {
        None => pb::TrackingStatus::Unspecified,
        Some(TrackingStatus::Unknown) => pb::TrackingStatus::Unknown,
        Some(TrackingStatus::PreTransit) => pb::TrackingStatus::PreTransit,
        Some(TrackingStatus::InTransit) => pb::TrackingStatus::InTransit,
        Some(TrackingStatus::OutForDelivery) => pb::TrackingStatus::OutForDelivery,
        Some(TrackingStatus::DeliveryAttempted) => pb::TrackingStatus::DeliveryAttempted,
        Some(TrackingStatus::AvailableForPickup) => pb::TrackingStatus::AvailableForPickup,
        Some(TrackingStatus::Exception) => pb::TrackingStatus::Exception,
        Some(TrackingStatus::Delivered) => pb::TrackingStatus::Delivered,
        Some(TrackingStatus::ReturnToSender) => pb::TrackingStatus::ReturnToSender,
        Some(TrackingStatus::Returned) => pb::TrackingStatus::Returned,
        Some(TrackingStatus::Lost) => pb::TrackingStatus::Lost,
        Some(TrackingStatus::Damaged) => pb::TrackingStatus::Damaged,
    }
}
