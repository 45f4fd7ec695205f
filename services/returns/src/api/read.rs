//! Reads messages into what commands take, and tells everything that is wrong with them at once.

use std::collections::HashSet;

use oms_core::{OrderId, OrderLineId, Principal, Quantity, ReturnId, Violations};
use oms_proto::Mutation;
use oms_proto::returns::v1 as proto;
use oms_service::{ApiError, fingerprint, parse_etag, request_id};
use uuid::Uuid;

use crate::commands::{NewReturn, NewReturnLine};
use crate::config::Policy;
use crate::ctx::Call;
use crate::domain::returns::{Disposition, RefundTiming, Units};

/// Most lines of one request.
const LINES_MAX: usize = 500;
/// Reasons that customers give.
const REASONS: [&str; 6] = [
    "UNWANTED",
    "DEFECTIVE",
    "WRONG_ITEM",
    "TOO_LATE",
    "DAMAGED",
    "OTHER",
];

/// The head that all mutating requests on a return share.
#[derive(Debug)]
pub(super) struct Head {
    /// The call.
    pub(super) call: Call,
    /// Return.
    pub(super) return_id: ReturnId,
    /// Version that the caller read.
    pub(super) etag: Option<i64>,
}

/// The identity of a mutating call. `message` is the request with its request id cleared.
pub(super) fn call(
    principal: Principal,
    method: &'static str,
    id: &str,
    message: &impl Mutation,
    violations: &mut Violations,
) -> Option<Call> {
    let request_id = request_id(id, violations)?;
    Some(Call {
        principal,
        method,
        request_id,
        hash: fingerprint(message),
        reason: message.why().to_owned(),
    })
}

/// Reads the head; violations of the body are told with it.
pub(super) fn head(
    call: Option<Call>,
    return_id: &str,
    etag: &str,
    mut violations: Violations,
) -> Result<Head, ApiError> {
    let return_id = uuid_field(return_id, "return_id", &mut violations).map(ReturnId::new);
    let etag = parse_etag(etag, &mut violations);
    match (violations.into_result(), call, return_id) {
        (Ok(()), Some(call), Some(return_id)) => Ok(Head {
            call,
            return_id,
            etag,
        }),
        (Err(violations), ..) => Err(violations.into()),
        // A missing part has pushed a violation above.
        _ => Err(ApiError::internal(
            "a request was refused without a violation",
        )),
    }
}

/// A UUID that must be there.
pub(super) fn uuid_field(text: &str, field: &str, violations: &mut Violations) -> Option<Uuid> {
    if text.is_empty() {
        violations.push(field, "FIELD_REQUIRED", "must not be empty");
        return None;
    }
    violations.parse(field, "FIELD_MALFORMED", text)
}

/// A text of people with a length in characters.
pub(super) fn text(
    text: &str,
    field: &str,
    length: std::ops::RangeInclusive<usize>,
    violations: &mut Violations,
) {
    if text.is_empty() && *length.start() > 0 {
        violations.push(field, "FIELD_REQUIRED", "must not be empty");
        return;
    }
    violations.check(
        length.contains(&text.chars().count()),
        field,
        "FIELD_OUT_OF_RANGE",
        format!("may have at most {} characters", length.end()),
    );
    oms_core::check_card_number(text, field, violations);
}

fn quantity(units: i64, field: &str, violations: &mut Violations) {
    if let Err(error) = Quantity::try_new(units) {
        violations.push(
            format!("{field}.quantity"),
            "QUANTITY_INVALID",
            error.to_string(),
        );
    }
}

fn line_count(count: usize, violations: &mut Violations) {
    if count == 0 {
        violations.push("lines", "FIELD_REQUIRED", "must have at least one line");
    }
    violations.check(
        count <= LINES_MAX,
        "lines",
        "FIELD_OUT_OF_RANGE",
        format!("may have at most {LINES_MAX} lines"),
    );
}

/// Units of return lines.
pub(super) fn units(lines: &[(&str, i64)], violations: &mut Violations) -> Vec<Units> {
    line_count(lines.len(), violations);
    let mut all = Vec::new();
    for (index, (id, units)) in lines.iter().take(LINES_MAX).enumerate() {
        let field = format!("lines[{index}]");
        quantity(*units, &field, violations);
        let id = uuid_field(id, &format!("{field}.return_line_id"), violations);
        all.extend(id.map(|return_line_id| Units {
            return_line_id,
            quantity: *units,
        }));
    }
    all
}

/// A return as it is asked for.
pub(super) fn new_return(
    request: &proto::RequestReturnRequest,
    policy: &Policy,
    violations: &mut Violations,
) -> Option<NewReturn> {
    let order_id = uuid_field(&request.order_id, "order_id", violations).map(OrderId::new);
    let location = match request.location_id.as_str() {
        "" => policy.default_location_id.as_str(),
        given => given,
    };
    if location.is_empty() {
        violations.push("location_id", "FIELD_REQUIRED", "must name a location");
    }
    let location_id = match location {
        "" => None,
        text => violations.parse("location_id", "FIELD_MALFORMED", text),
    };
    let refund_timing = timing(request.refund_timing, policy, violations);
    let lines = new_lines(&request.lines, violations);
    Some(NewReturn {
        order_id: order_id?,
        lines,
        refund_timing: refund_timing?,
        location_id: location_id?,
    })
}

fn timing(value: i32, policy: &Policy, violations: &mut Violations) -> Option<RefundTiming> {
    match proto::RefundTiming::try_from(value) {
        Ok(proto::RefundTiming::Unspecified) => Some(policy.refund_timing()),
        Ok(proto::RefundTiming::OnRequest) => Some(RefundTiming::OnRequest),
        Ok(proto::RefundTiming::OnReceipt) => Some(RefundTiming::OnReceipt),
        Ok(proto::RefundTiming::OnInspection) => Some(RefundTiming::OnInspection),
        Err(_) => {
            violations.push("refund_timing", "FIELD_MALFORMED", "is no refund timing");
            None
        }
    }
}

fn new_lines(
    lines: &[proto::RequestReturnLine],
    violations: &mut Violations,
) -> Vec<NewReturnLine> {
    line_count(lines.len(), violations);
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for (index, line) in lines.iter().take(LINES_MAX).enumerate() {
        let field = format!("lines[{index}]");
        quantity(line.quantity, &field, violations);
        violations.check(
            REASONS.contains(&line.reason.as_str()),
            format!("{field}.reason"),
            "FIELD_MALFORMED",
            format!("must be one of {}", REASONS.join(", ")),
        );
        let id_field = format!("{field}.order_line_id");
        let Some(id) = uuid_field(&line.order_line_id, &id_field, violations) else {
            continue;
        };
        violations.check(seen.insert(id), id_field, "DUPLICATE", "stands twice");
        all.push(NewReturnLine {
            order_line_id: OrderLineId::new(id),
            quantity: line.quantity,
            reason: line.reason.clone(),
        });
    }
    all
}

/// What an inspector saw: the name of the condition of each line.
pub(super) fn conditions(
    lines: &[proto::InspectReturnLine],
    violations: &mut Violations,
) -> Vec<String> {
    let mut names = Vec::new();
    for (index, line) in lines.iter().take(LINES_MAX).enumerate() {
        let condition = proto::ReturnCondition::try_from(line.condition).unwrap_or_default();
        violations.check(
            condition != proto::ReturnCondition::Unspecified,
            format!("lines[{index}].condition"),
            "FIELD_REQUIRED",
            "must be a condition",
        );
        let name = condition.as_str_name();
        names.push(name.trim_start_matches("RETURN_CONDITION_").to_owned());
    }
    names
}

/// What becomes of the units of each line.
pub(super) fn dispositions(
    lines: &[proto::DisposeReturnLine],
    violations: &mut Violations,
) -> Vec<Disposition> {
    let mut all = Vec::new();
    for (index, line) in lines.iter().take(LINES_MAX).enumerate() {
        match proto::Disposition::try_from(line.disposition) {
            Ok(proto::Disposition::Restock) => all.push(Disposition::Restock),
            Ok(proto::Disposition::Quarantine) => all.push(Disposition::Quarantine),
            Ok(proto::Disposition::Scrap) => all.push(Disposition::Scrap),
            Ok(proto::Disposition::Unspecified) | Err(_) => violations.push(
                format!("lines[{index}].disposition"),
                "FIELD_REQUIRED",
                "must be a disposition",
            ),
        }
    }
    all
}

/// Names of the states that a list is filtered by.
pub(super) fn states(values: &[i32], violations: &mut Violations) -> Vec<String> {
    let mut names = Vec::new();
    for (index, value) in values.iter().enumerate() {
        match proto::ReturnState::try_from(*value) {
            Ok(state) if state != proto::ReturnState::Unspecified => {
                let name = state.as_str_name().trim_start_matches("RETURN_STATE_");
                names.push(name.to_owned());
            }
            _ => violations.push(format!("states[{index}]"), "FIELD_MALFORMED", "is no state"),
        }
    }
    names
}
