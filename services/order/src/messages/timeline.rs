//! The timeline.

use oms_proto::order::v1 as pb;
use oms_proto::time_to_proto;

use crate::domain::timeline::TimelineRow;

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
