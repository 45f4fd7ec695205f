//! Tracing and OpenTelemetry: start and stop, context in and out of gRPC metadata and database rows.
//!
//! A program calls [`start`] once and keeps the [`Guard`] to its end. Code everywhere else uses the
//! macros of `tracing` and `metrics`, and [`TraceContext`] to carry a trace through a row:
//!
//! ```no_run
//! use oms_telemetry::{TraceContext, continue_from};
//!
//! // Where the row is written:
//! let stored: String = TraceContext::current().into();
//! // Where it is worked on, perhaps in another process:
//! let span = tracing::info_span!("capture_payment", oms.order.id = "..");
//! continue_from(&span, &TraceContext::parse(&stored));
//! ```
//!
//! Without an OTLP endpoint there is no OpenTelemetry layer at all: contexts are empty, and every
//! function here does nothing at next to no cost.

mod context;
mod exemplars;
mod guard;
mod log;
mod metrics;
mod span;

pub use context::{
    ROOT_AGE_MAX, TraceContext, continue_from, continue_or_link, linked_trace_id, set_remote_parent,
};
pub use guard::{Error, Guard, TelemetryConfig, start};
pub use log::LogFormat;
pub use metrics::{DURATION_BUCKETS_SECS, Metrics, Page, SIZE_BUCKETS, metrics};
pub use span::{ORDER_ID, mark_failed, record_order_action, record_order_id};
