//! Errors of commands and queries as callers see them.

use oms_proto::common::v1::ErrorReason;
use oms_service::ApiError;
use tonic::Status;

use crate::error::Error;

/// The status of an error. What operators need goes to the log; no text of the database leaves.
pub(super) fn status(error: Error) -> Status {
    api_error(error).into()
}

fn api_error(error: Error) -> ApiError {
    match error {
        Error::Store(error) => match error.into_database() {
            Ok(error) => error.into(),
            Err(inconsistent) => ApiError::internal(inconsistent),
        },
        Error::Seal(error) => ApiError::internal(error.to_string()),
        Error::PersonalDataErased => ApiError::failed_precondition(
            ErrorReason::PersonalDataErased,
            "the customer's personal data was erased",
        ),
        Error::OpenOrders { open } => {
            let ids: Vec<String> = open.iter().map(ToString::to_string).collect();
            ApiError::failed_precondition(
                ErrorReason::OrdersOpen,
                "orders that need the personal data are open",
            )
            .with("order_ids", ids.join(","))
        }
        Error::Invalid(violations) => violations.into(),
        Error::NotFound { resource, id } => ApiError::not_found(resource, id),
        Error::EtagMismatch { present } => ApiError::etag_mismatch(present),
        Error::IllegalTransition {
            aggregate,
            state,
            action,
            supported,
        } => ApiError::illegal_transition(aggregate, state, action, supported),
        Error::RulingNotPossible {
            step,
            action,
            supported,
        } => ApiError::illegal_transition("exception", &step, action, supported),
        Error::ExternalReferenceTaken { order_id } => ApiError::already_exists(
            ErrorReason::ExternalReferenceTaken,
            "another order of the channel has this external reference",
        )
        .with("order_id", order_id),
        Error::StoreCreditExists => ApiError::already_exists(
            ErrorReason::AlreadyExists,
            "a store credit with this code was issued before",
        ),
        Error::QuantityExceedsOpen { open, requested } => ApiError::failed_precondition(
            ErrorReason::QuantityExceedsOpen,
            format!("{requested} units are more than the {open} that are open"),
        )
        .with("open", open)
        .with("requested", requested),
        Error::RefundExceedsCaptured { refundable } => ApiError::failed_precondition(
            ErrorReason::RefundExceedsCaptured,
            format!("at most {refundable} minor units can be refunded"),
        )
        .with("refundable", refundable),
        error @ Error::NoRandomness(_) => ApiError::internal(error.to_string()),
        Error::Peer { peer, source } => source.into_api_error(peer),
    }
}
