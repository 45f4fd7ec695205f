//! Errors of commands as callers see them.

use oms_core::Violations;
use oms_proto::common::v1::ErrorReason;
use oms_service::{ApiError, PeerError};
use tonic::Status;

use crate::domain::returns::Refusal;
use crate::domain::state;
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
        Error::OrderLineUnknown { index } => ApiError::invalid(
            format!("lines[{index}].order_line_id"),
            ErrorReason::ReferenceUnknown,
            "the order has no such line",
        ),
        Error::NotReturnable(lines) => not_returnable(&lines),
        Error::LabelIssued => ApiError::failed_precondition(
            ErrorReason::IllegalTransition,
            "a label was issued before",
        ),
        Error::Peer { peer, error } => peer_error(peer, error),
    }
}

fn peer_error(peer: &'static str, error: PeerError) -> ApiError {
    error.into_api_error(peer)
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
    match *refusal {
        Refusal::Illegal { state, action } => ApiError::illegal_transition(
            "return",
            state.as_str(),
            action,
            state::supported_actions(state),
        ),
        Refusal::UnknownLine { index } => ApiError::invalid(
            format!("lines[{index}].return_line_id"),
            ErrorReason::ReferenceUnknown,
            "the return has no such line",
        ),
        Refusal::Exceeds {
            index,
            open,
            requested,
        } => ApiError::failed_precondition(
            ErrorReason::QuantityExceedsOpen,
            format!("lines[{index}]: {requested} units are more than the {open} that are open"),
        )
        .with("open", open)
        .with("requested", requested),
        Refusal::DenialTooLate { index } => ApiError::invalid(
            format!("lines[{index}].refund_denied"),
            ErrorReason::FieldMalformed,
            "the refund point of this return is not the inspection",
        ),
        Refusal::AlreadyRefunded => ApiError::failed_precondition(
            ErrorReason::IllegalTransition,
            "money of this return was paid back or is about to be",
        ),
    }
}
