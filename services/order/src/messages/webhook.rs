//! Endpoints of webhooks and their deliveries.

use oms_proto::order::v1 as pb;
use oms_proto::time_to_proto;
use prost::Message as _;

use crate::domain::webhook::{
    Attempt, Delivery, DeliveryState, DisableReason, Endpoint, EndpointState,
};

/// An endpoint as clients see it.
pub(crate) fn webhook_endpoint(endpoint: &Endpoint) -> pb::WebhookEndpoint {
    pb::WebhookEndpoint {
        webhook_endpoint_id: endpoint.endpoint_id.to_string(),
        url: endpoint.url.clone(),
        event_types: endpoint.event_types.clone(),
        channel_ids: endpoint.channel_ids.clone(),
        description: endpoint.description.clone(),
        state: state(endpoint.state).into(),
        state_reason: reason(endpoint),
        failing_since_time: endpoint.failing_since.map(time_to_proto),
        previous_secret_expire_time: endpoint.previous_secret_expires_at.map(time_to_proto),
        create_time: Some(time_to_proto(endpoint.created_at)),
        update_time: Some(time_to_proto(endpoint.updated_at)),
        etag: endpoint.version.to_string(),
    }
}

/// The type and the bytes of the event that an endpoint changed. Without its address, which may hold a key.
pub(crate) fn webhook_endpoint_event(endpoint: &Endpoint, action: &str) -> (&'static str, Vec<u8>) {
    let changed = pb::WebhookEndpointChanged {
        webhook_endpoint_id: endpoint.endpoint_id.to_string(),
        action: action.to_owned(),
        state: state(endpoint.state).into(),
        state_reason: reason(endpoint),
    };
    let message = pb::OrderEvent {
        event: Some(pb::order_event::Event::WebhookEndpointChanged(changed)),
    };
    (message.event_type(), message.encode_to_vec())
}

/// A delivery as clients see it.
pub(crate) fn webhook_delivery(delivery: &Delivery) -> pb::WebhookDelivery {
    let state = match delivery.state {
        DeliveryState::Pending => pb::WebhookDeliveryState::Pending,
        DeliveryState::Delivered => pb::WebhookDeliveryState::Delivered,
        DeliveryState::Failed => pb::WebhookDeliveryState::Failed,
    };
    let is_pending = delivery.state == DeliveryState::Pending;
    pb::WebhookDelivery {
        webhook_delivery_id: delivery.delivery_id.to_string(),
        webhook_endpoint_id: delivery.endpoint_id.to_string(),
        event_id: delivery.event_id.to_string(),
        event_type: delivery.event_type.clone(),
        feed_pos: delivery.feed_pos,
        state: state.into(),
        attempt_count: delivery.attempt,
        next_attempt_time: is_pending.then(|| time_to_proto(delivery.next_attempt_at)),
        last_error: delivery.last_error.clone(),
        create_time: Some(time_to_proto(delivery.created_at)),
        end_time: delivery.ended_at.map(time_to_proto),
    }
}

/// An attempt as clients see it.
pub(crate) fn webhook_attempt(attempt: &Attempt) -> pb::WebhookAttempt {
    pb::WebhookAttempt {
        number: attempt.number,
        start_time: Some(time_to_proto(attempt.started_at)),
        status_code: attempt.status_code,
        latency_ms: attempt.latency_ms,
        error: attempt.error.clone(),
        response_excerpt: attempt.excerpt.clone(),
    }
}

fn state(state: EndpointState) -> pb::WebhookEndpointState {
    match state {
        EndpointState::Enabled => pb::WebhookEndpointState::Enabled,
        EndpointState::Disabled | EndpointState::Deleted => pb::WebhookEndpointState::Disabled,
    }
}

fn reason(endpoint: &Endpoint) -> String {
    endpoint.reason.map_or("", DisableReason::as_str).to_owned()
}
