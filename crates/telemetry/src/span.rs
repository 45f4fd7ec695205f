//! What spans say in the same words everywhere.

use std::fmt::Display;

use opentelemetry::trace::Status;
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The field that ties a span or a log line to an order. Declare it where a span is made
/// (`info_span!("place_order", oms.order.id = field::Empty)`) and fill it with [`record_order_id`].
pub const ORDER_ID: &str = "oms.order.id";

/// What was done to the order, see [`record_order_action`].
const ORDER_ACTION: &str = "oms.order.action";

/// Says which order the span is about, whether it declared the field or not; an undeclared field is
/// exported but missing in logs.
pub fn record_order_id(span: &Span, order_id: impl Display) {
    if span.has_field(ORDER_ID) {
        span.record(ORDER_ID, field::display(order_id));
    } else if !span.is_disabled() {
        span.set_attribute(ORDER_ID, order_id.to_string());
    }
}

/// Says what the span did to its order, in the words of the order's history, such as `place_hold`. The last one stands.
pub fn record_order_action(span: &Span, action: &str) {
    if !span.is_disabled() {
        span.set_attribute(ORDER_ACTION, action.to_owned());
    }
}

/// Marks the span as failed. `reason` is read by operators: no personal data.
pub fn mark_failed(span: &Span, reason: impl Display) {
    if !span.is_disabled() {
        span.set_status(Status::error(reason.to_string()));
    }
}
