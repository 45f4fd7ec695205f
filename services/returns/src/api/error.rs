//! Errors of commands as callers see them.

use oms_core::Violations;
use oms_proto::common::v1::{ErrorReason, IllegalTransition};
use oms_service::ApiError;
use tonic::Status;

use crate::domain::returns::{Excess, Refusal};
use crate::error::{Error, NotReturnable};

/// Turns an error of a command into the status of its RPC.
pub(crate) fn status(error: Error) -> Status {
    api_error(error).into()
}

fn api_error(error: Error) -> ApiError {
    match error {
        Error::Postgres(error) => error.into(),
        inconsistent @ Error::Inconsistent(_) => ApiError::internal(inconsistent),
        Error::NotFound(id) => ApiError::not_found("return", id),
        Error::EtagMismatch(present) => ApiError::etag_mismatch(oms_service::etag(present)),
        Error::Refused(refusal) => refused(&refusal),
        Error::OrderUnknown => {
            ApiError::invalid("order_id", ErrorReason::ReferenceUnknown, "no such order")
        }
        Error::OrderLinesUnknown(places) => violations(
            &places,
            "order_line_id",
            "REFERENCE_UNKNOWN",
            "the order has no such line",
        ),
        Error::NotReturnable(lines) => not_returnable(&lines),
        Error::Peer { peer, error } => error.into_api_error(peer),
    }
}

fn not_returnable(lines: &[NotReturnable]) -> ApiError {
    let message = "more was asked for than can be returned";
    let error = ApiError::failed_precondition(ErrorReason::NotReturnable, message);
    let error = match lines.first() {
        Some(first) => error.with("returnable", first.returnable),
        None => error,
    };
    let mut violations = Violations::default();
    for line in lines {
        violations.push(
            format!("lines[{}].quantity", line.index),
            "NOT_RETURNABLE",
            format!(
                "{} of order line {} can be returned",
                line.returnable, line.order_line_id
            ),
        );
    }
    violations
        .iter()
        .cloned()
        .fold(error, ApiError::with_violation)
}

fn refused(refusal: &Refusal) -> ApiError {
    match refusal {
        Refusal::Illegal {
            state,
            action,
            why,
            supported,
        } => ApiError::failed_precondition(
            ErrorReason::IllegalTransition,
            format!("{action} is not possible: {why}"),
        )
        .with("aggregate", "return")
        .with("state", state.as_str())
        .with("action", action)
        .with_illegal_transition(IllegalTransition {
            aggregate: "return".to_owned(),
            state: state.as_str().to_owned(),
            action: (*action).to_owned(),
            supported_actions: supported.iter().map(|name| (*name).to_owned()).collect(),
        }),
        Refusal::UnknownLines(places) => violations(
            places,
            "return_line_id",
            "REFERENCE_UNKNOWN",
            "the return has no such line",
        ),
        Refusal::Exceeds(excesses) => exceeds(excesses),
        Refusal::DenialTooLate(places) => violations(
            places,
            "refund_denied",
            "FIELD_MALFORMED",
            "the refund point of this return is not the inspection",
        ),
    }
}

/// INVALID_ARGUMENT for the same field of several lines.
fn violations(
    places: &[usize],
    field: &str,
    reason: &'static str,
    message: &'static str,
) -> ApiError {
    let mut violations = Violations::default();
    for index in places {
        violations.push(format!("lines[{index}].{field}"), reason, message);
    }
    violations.into()
}

fn exceeds(excesses: &[Excess]) -> ApiError {
    let message = "more was asked for than is open";
    let error = ApiError::failed_precondition(ErrorReason::QuantityExceedsOpen, message);
    let error = match excesses.first() {
        Some(first) => error
            .with("open", first.open)
            .with("requested", first.requested),
        None => error,
    };
    let mut violations = Violations::default();
    for excess in excesses {
        violations.push(
            format!("lines[{}].quantity", excess.index),
            "QUANTITY_EXCEEDS_OPEN",
            format!("{} units are open", excess.open),
        );
    }
    violations
        .iter()
        .cloned()
        .fold(error, ApiError::with_violation)
}
