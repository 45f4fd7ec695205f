//! Reads a `ReserveRequest`.

use std::collections::{BTreeSet, HashSet};

use oms_core::{OrderLineId, Violations};
use oms_proto::common::v1::FillPolicy;
use oms_proto::inventory::v1::{self as pb, ReserveRequest};
use prost_types::Duration as ProtoDuration;
use time::Duration;

use crate::domain::command::{Fill, Mode, Reserve};
use crate::domain::fit::{Demand, Wishes};
use crate::domain::reservation::Urgency;

use super::checks;

const LINES_MAX: usize = 500;
const RANKED_MAX: usize = 16;
const ELIGIBLE_MAX: usize = 1_000;
const PRIORITY_MAX: i16 = 9;
const TIME_TO_LIVE_DEFAULT: Duration = Duration::minutes(15);
const TIME_TO_LIVE_MAX: Duration = Duration::hours(1);

/// The command of a request whose `request_id` was cleared; `None` when something is wrong with it.
pub(super) fn reserve(request: &ReserveRequest, violations: &mut Violations) -> Option<Reserve> {
    let reservation = checks::required("reservation_id", &request.reservation_id, violations);
    let order = checks::required("order_id", &request.order_id, violations);
    let mode = mode(request, violations);
    let fill = fill(request.fill_policy, violations);
    let least = usize::from(mode.is_some_and(|mode| mode != Mode::Queue));
    let ids = &request.ranked_location_ids;
    let ranked = checks::locations("ranked_location_ids", ids, least..=RANKED_MAX, violations);
    let splits_max = not_negative("splits_max", request.splits_max, violations);
    let within = request.single_node_within_rank;
    let single_node_within_rank = not_negative("single_node_within_rank", within, violations);
    let channel = super::availability::channel("channel_id", &request.channel_id, violations);
    let urgency = urgency(request, violations);
    let ship_complete = request.ship_complete;
    violations.check(
        !ship_complete || fill != Some(Fill::AllAvailable),
        "ship_complete",
        checks::MALFORMED,
        "does not go with FILL_ALL_AVAILABLE",
    );
    let (lines, demands) = lines(&request.lines, violations);
    if !violations.is_empty() {
        return None;
    }
    Some(Reserve {
        reservation: reservation?,
        order: order?,
        channel,
        fingerprint: oms_service::fingerprint(request),
        mode: mode?,
        fill: fill?,
        urgency,
        lines,
        demands,
        wishes: Wishes {
            ranked,
            splits_max,
            single_node_within_rank,
            ship_complete,
        },
    })
}

fn urgency(request: &ReserveRequest, violations: &mut Violations) -> Urgency {
    let class = match request.priority {
        None => Some(Urgency::NORMAL.class),
        Some(given) => i16::try_from(given)
            .ok()
            .filter(|class| (0..=PRIORITY_MAX).contains(class)),
    };
    violations.check(
        class.is_some(),
        "priority",
        checks::OUT_OF_RANGE,
        "must be 0 to 9",
    );
    Urgency {
        class: class.unwrap_or(Urgency::NORMAL.class),
        promise_at: checks::time("promise_time", request.promise_time, violations),
    }
}

fn mode(request: &ReserveRequest, violations: &mut Violations) -> Option<Mode> {
    use pb::ReservationState as S;
    match request.mode() {
        // An unknown number reads as unspecified.
        S::Unspecified if request.mode != 0 => {}
        S::Unspecified | S::Held => {
            let given = request.time_to_live.as_ref();
            let time_to_live = match given {
                Some(given) => time_to_live(Some(given), violations)?,
                None => TIME_TO_LIVE_DEFAULT,
            };
            return Some(Mode::Hold(time_to_live));
        }
        S::Allocated => return Some(Mode::Allocate),
        S::Backordered => return Some(Mode::Queue),
        S::Consumed | S::Released | S::Expired => {}
    }
    violations.push(
        "mode",
        checks::MALFORMED,
        "must be HELD, ALLOCATED or BACKORDERED",
    );
    None
}

fn fill(policy: i32, violations: &mut Violations) -> Option<Fill> {
    match FillPolicy::try_from(policy) {
        Ok(FillPolicy::Unspecified | FillPolicy::FillOrKill) => Some(Fill::OrKill),
        Ok(FillPolicy::FillAll) => Some(Fill::All),
        Ok(FillPolicy::FillAllAvailable) => Some(Fill::AllAvailable),
        Err(_) => {
            violations.push("fill_policy", checks::MALFORMED, "is not known");
            None
        }
    }
}

/// A required time to live of 1 second to 1 hour.
pub(super) fn time_to_live(
    given: Option<&ProtoDuration>,
    violations: &mut Violations,
) -> Option<Duration> {
    let Some(given) = given else {
        violations.push("time_to_live", checks::REQUIRED, "must not be empty");
        return None;
    };
    let length = Duration::seconds(given.seconds)
        .checked_add(Duration::nanoseconds(i64::from(given.nanos)))
        // Postgres keeps microseconds.
        .map(|length| {
            Duration::microseconds(i64::try_from(length.whole_microseconds()).unwrap_or(-1))
        });
    let length = length.filter(|length| (Duration::SECOND..=TIME_TO_LIVE_MAX).contains(length));
    if length.is_none() {
        let message = "must be 1 second to 1 hour";
        violations.push("time_to_live", checks::OUT_OF_RANGE, message);
    }
    length
}

fn not_negative(field: &str, number: i32, violations: &mut Violations) -> usize {
    let read = usize::try_from(number);
    violations.check(
        read.is_ok(),
        field,
        checks::OUT_OF_RANGE,
        "must not be negative",
    );
    read.unwrap_or_default()
}

fn lines(
    given: &[pb::ReserveLine],
    violations: &mut Violations,
) -> (Vec<OrderLineId>, Vec<Demand>) {
    let (mut lines, mut demands) = (Vec::new(), Vec::new());
    if !checks::count("lines", given.len(), 1..=LINES_MAX, violations) {
        return (lines, demands);
    }
    let mut seen = HashSet::new();
    for (number, line) in given.iter().enumerate() {
        let mut found = Violations::default();
        let id = checks::required("order_line_id", &line.order_line_id, &mut found);
        let is_new = id.is_none_or(|id: OrderLineId| seen.insert(id));
        found.check(
            is_new,
            "order_line_id",
            checks::DUPLICATE,
            "stands here twice",
        );
        let sku = checks::required("sku", &line.sku, &mut found);
        let quantity = checks::units("quantity", line.quantity, &mut found);
        let ids = &line.eligible_location_ids;
        let eligible =
            checks::locations("eligible_location_ids", ids, 0..=ELIGIBLE_MAX, &mut found);
        violations.extend_under(&format!("lines[{number}]"), found);
        let (Some(id), Some(sku)) = (id, sku) else {
            continue;
        };
        let eligible: BTreeSet<_> = eligible.into_iter().collect();
        lines.push(id);
        demands.push(Demand {
            sku,
            quantity,
            eligible: (!ids.is_empty()).then_some(eligible),
            // Looked up later.
            kit: None,
        });
    }
    (lines, demands)
}
