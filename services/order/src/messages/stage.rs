//! Stages and deadlines.

use oms_proto::order::v1 as pb;
use oms_proto::time_to_proto;
use time::{Duration, OffsetDateTime};

use crate::domain::order::Order;
use crate::domain::stage::{self, AtRisk, Backlog, Stage};

/// What an order waits for, as far as it has deadlines.
pub(super) fn stage_of(order: &Order) -> pb::OrderStage {
    let waits = order.deadlines.and_then(|_| stage::stage(order));
    waits.map_or(pb::OrderStage::Unspecified, stage)
}

pub(super) fn deadlines(order: &Order) -> Option<pb::OrderDeadlines> {
    let all = order.deadlines?;
    Some(pb::OrderDeadlines {
        authorize_by: Some(time_to_proto(all.authorize_by)),
        release_by: Some(time_to_proto(all.release_by)),
        pick_by: Some(time_to_proto(all.pick_by)),
        ship_by: Some(time_to_proto(all.ship_by)),
    })
}

fn stage(stage: Stage) -> pb::OrderStage {
    match stage {
        Stage::Authorize => pb::OrderStage::Authorize,
        Stage::Release => pb::OrderStage::Release,
        Stage::Pick => pb::OrderStage::Pick,
        Stage::Ship => pb::OrderStage::Ship,
    }
}

/// An order at risk, now.
pub(crate) fn at_risk(now: OffsetDateTime, one: &AtRisk) -> pb::OrderAtRisk {
    pb::OrderAtRisk {
        order_id: one.order_id.to_string(),
        order_number: one.order_number.clone(),
        channel_id: one.channel_id.clone(),
        stage: stage(one.stage).into(),
        since_time: Some(time_to_proto(one.since)),
        due_time: Some(time_to_proto(one.due)),
        late_by: Some(duration(now - one.due)),
        ship_by: Some(time_to_proto(one.ship_by)),
    }
}

/// A row of the backlog, now.
pub(crate) fn backlog(now: OffsetDateTime, row: &Backlog) -> pb::Backlog {
    pb::Backlog {
        stage: stage(row.stage).into(),
        location_id: row.location_id.clone(),
        orders: row.orders,
        at_risk: row.at_risk,
        late: row.late,
        oldest_age: Some(duration(now - row.oldest)),
    }
}

fn duration(time: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: time.whole_seconds(),
        nanos: time.subsec_nanoseconds(),
    }
}
