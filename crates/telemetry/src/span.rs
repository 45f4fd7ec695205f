//! What spans say in the same words everywhere.

use std::fmt::Display;

use opentelemetry::trace::Status;
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The field that ties a span or a log line to an order. Declare it where a span is made
/// (`info_span!("place_order", oms.order.id = field::Empty)`) and fill it with [`record_order_id`].
pub const ORDER_ID: &str = "oms.order.id";

/// Says which order the span is about, whether it declared the field or not; an undeclared field is
/// exported but missing in logs.
pub fn record_order_id(span: &Span, order_id: impl Display) {
    if span.has_field(ORDER_ID) {
        span.record(ORDER_ID, field::display(order_id));
    } else if !span.is_disabled() {
        span.set_attribute(ORDER_ID, order_id.to_string());
    }
}

/// Marks the span as failed. `reason` is read by operators: no personal data.
pub fn mark_failed(span: &Span, reason: impl Display) {
    if !span.is_disabled() {
        span.set_status(Status::error(reason.to_string()));
    }
}
