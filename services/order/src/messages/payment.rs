//! Payment transactions.

use oms_core::{Currency, PaymentId};
use oms_proto::order::v1 as pb;
use oms_proto::time_to_proto;

use super::money;
use crate::domain::collection::{Collection, CollectionState};
use crate::domain::payment::{Payment, PaymentKind, PaymentState};

/// A payment transaction as clients see it.
pub(crate) fn payment(payment: &Payment) -> pb::PaymentTransaction {
    pb::PaymentTransaction {
        payment_id: payment.payment_id.to_string(),
        order_id: payment.order_id.to_string(),
        kind: kind(payment.kind).into(),
        state: state(payment.state).into(),
        amount: money(payment.currency, payment.amount),
        provider: payment.provider.clone(),
        provider_reference: payment.provider_reference.clone(),
        parent_payment_id: payment
            .parent_payment_id
            .as_ref()
            .map(PaymentId::to_string)
            .unwrap_or_default(),
        cause: payment.cause.clone(),
        failure_code: payment.failure_code.clone(),
        create_time: Some(time_to_proto(payment.created_at)),
        update_time: Some(time_to_proto(payment.updated_at)),
        actor: payment.actor.clone(),
        tender: payment.tender,
        expire_time: payment.expires_at.map(time_to_proto),
    }
}

/// What a carrier is to collect, as clients see it.
pub(crate) fn collection(currency: Currency, collection: &Collection) -> pb::Collection {
    let state = match collection.state {
        CollectionState::Due => pb::CollectionState::Due,
        CollectionState::Collected => pb::CollectionState::Collected,
        CollectionState::Refused => pb::CollectionState::Refused,
    };
    pb::Collection {
        order_id: collection.order_id.to_string(),
        shipment_id: collection.shipment_id.to_string(),
        state: state.into(),
        amount: money(currency, collection.amount),
        recorded_by: collection.recorded_by.clone(),
        create_time: Some(time_to_proto(collection.created_at)),
        update_time: Some(time_to_proto(collection.updated_at)),
    }
}

fn kind(kind: PaymentKind) -> pb::PaymentKind {
    match kind {
        PaymentKind::Authorization => pb::PaymentKind::Authorization,
        PaymentKind::Capture => pb::PaymentKind::Capture,
        PaymentKind::Void => pb::PaymentKind::Void,
        PaymentKind::Refund => pb::PaymentKind::Refund,
    }
}

fn state(state: PaymentState) -> pb::PaymentState {
    match state {
        PaymentState::Initiated => pb::PaymentState::Initiated,
        PaymentState::Pending => pb::PaymentState::Pending,
        PaymentState::Succeeded => pb::PaymentState::Succeeded,
        PaymentState::Failed => pb::PaymentState::Failed,
        PaymentState::InDoubt => pb::PaymentState::InDoubt,
    }
}
