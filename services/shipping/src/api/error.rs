//! Errors of commands as callers see them.

use oms_proto::common::v1::ErrorReason;
use oms_service::ApiError;
use tonic::Status;

use crate::commands::Error;
use crate::queries;

/// Turns an error of a command into the status of its RPC.
pub(super) fn status(error: Error) -> Status {
    api_error(error).into()
}

/// Turns an error of a query into the status of its RPC.
pub(super) fn store_status(error: queries::Error) -> Status {
    store_error(error).into()
}

fn store_error(error: queries::Error) -> ApiError {
    match error {
        queries::Error::Database(error) => error.into(),
        inconsistent @ queries::Error::Inconsistent { .. } => ApiError::internal(inconsistent),
    }
}

fn api_error(error: Error) -> ApiError {
    match error {
        Error::NotFound { resource, id } => ApiError::not_found(resource, id),
        Error::EtagMismatch { present } => ApiError::etag_mismatch(oms_service::etag(present)),
        Error::Illegal(illegal) => ApiError::illegal_transition(
            "shipment",
            illegal.state.as_str(),
            illegal.action.as_str(),
            illegal.supported.iter().copied(),
        )
        .with("cause", &illegal.reason),
        Error::Invalid(violations) => violations.into(),
        Error::NotPacked { pack_session_id } => ApiError::failed_precondition(
            ErrorReason::NotPacked,
            "goods travel only after they were picked and packed by scan",
        )
        .with("pack_session_id", pack_session_id),
        Error::ExceedsPacked {
            order_line_id,
            open,
            requested,
        } => ApiError::failed_precondition(
            ErrorReason::QuantityExceedsOpen,
            "more was asked for than the pack session holds",
        )
        .with("order_line_id", order_line_id)
        .with("open", open)
        .with("requested", requested),
        Error::AlreadyExists { resource, id } => {
            let message = format!("{resource} exists already");
            ApiError::already_exists(ErrorReason::AlreadyExists, message).with("id", id)
        }
        Error::NoCarrierService { level, named } => ApiError::failed_precondition(
            ErrorReason::NoCarrierService,
            "no carrier service fits the request",
        )
        .with("service_level", level.as_str())
        .with("carrier_service", named),
        Error::Peer { peer, error } => error.into_api_error(peer),
        Error::Barcode(error) => ApiError::internal(error),
        Error::Defect(message) => ApiError::internal(message),
        Error::Store(error) => store_error(error),
    }
}
