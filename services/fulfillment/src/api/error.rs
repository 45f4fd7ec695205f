//! Errors of commands and queries as callers see them.

use oms_proto::common::v1::{ErrorReason, IllegalTransition};
use oms_service::ApiError;
use tonic::Status;

use crate::domain::refusal::Refusal;
use crate::error::Error;

/// Turns an error of a command or a query into the status of its RPC.
pub(super) fn status(error: Error) -> Status {
    api_error(error).into()
}

fn api_error(error: Error) -> ApiError {
    match error {
        Error::Refused(refusal) => refused(refusal),
        Error::Invalid(violations) => violations.into(),
        Error::NotFound { resource, id } => ApiError::not_found(resource, id),
        Error::Database(error) => error.into(),
        Error::Peer { peer, error } => error.into_api_error(peer),
    }
}

fn refused(refusal: Refusal) -> ApiError {
    let message = refusal.to_string();
    match refusal {
        Refusal::IllegalTransition(illegal) => {
            let reason = ErrorReason::IllegalTransition;
            ApiError::failed_precondition(reason, message)
                .with("aggregate", illegal.aggregate)
                .with("state", &illegal.state)
                .with("action", illegal.action)
                .with_illegal_transition(IllegalTransition {
                    aggregate: illegal.aggregate.to_owned(),
                    state: illegal.state,
                    action: illegal.action.to_owned(),
                    supported_actions: illegal
                        .supported_actions
                        .into_iter()
                        .map(str::to_owned)
                        .collect(),
                })
        }
        Refusal::QuantityExceedsOpen { open, requested } => {
            ApiError::failed_precondition(ErrorReason::QuantityExceedsOpen, message)
                .with("open", open)
                .with("requested", requested)
        }
        Refusal::BarcodeMismatch { expected_skus } => {
            let error = ApiError::failed_precondition(ErrorReason::BarcodeMismatch, message);
            match expected_skus.first() {
                Some(sku) => error.with("expected_sku", sku),
                None => error,
            }
        }
        Refusal::EtagMismatch { version } => ApiError::etag_mismatch(version),
    }
}
