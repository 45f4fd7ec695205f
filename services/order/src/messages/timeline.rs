//! The timeline.

use oms_proto::order::v1 as pb;
use oms_proto::time_to_proto;

use crate::domain::timeline::{OrderTrace, TimelineRow};

/// A row of the timeline as people see it.
pub(crate) fn timeline_entry(row: TimelineRow) -> pb::TimelineEntry {
    pb::TimelineEntry {
        sequence: row.sequence,
        occur_time: Some(time_to_proto(row.occurred_at)),
        actor: row.actor,
        action: row.action,
        from_state: row.from_state,
        to_state: row.to_state,
        detail: row.detail,
        trace_id: row.trace_id,
    }
}

/// A trace of an order.
pub(crate) fn order_trace(trace: OrderTrace) -> pb::OrderTrace {
    pb::OrderTrace {
        trace_id: trace.trace_id,
        first_time: Some(time_to_proto(trace.first_at)),
        last_time: Some(time_to_proto(trace.last_at)),
        started_by: trace.started_by,
        actor: trace.actor,
        failed: trace.failed,
        linked_trace_id: trace.linked_trace_id,
    }
}
