//! Errors of commands as callers see them.

use oms_proto::common::v1::ErrorReason;
use oms_service::ApiError;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::commands::Error;
use crate::domain::correction;
use crate::domain::refusal::Refusal;
use crate::domain::reservation::supported_actions;
use crate::messages;

/// What an error is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    /// The reservation asked for, as the caller wrote it; empty when none was.
    pub(super) reservation: &'a str,
    /// The call's own id.
    pub(super) request_id: Uuid,
}

impl About<'static> {
    /// About no reservation.
    pub(super) fn request(request_id: Uuid) -> Self {
        Self {
            reservation: "",
            request_id,
        }
    }
}

impl About<'_> {
    /// The status of an error.
    pub(super) fn status(&self, error: Error) -> Status {
        self.api_error(error).into()
    }

    fn api_error(&self, error: Error) -> ApiError {
        match error {
            Error::Refused(refusal) => self.refusal(refusal),
            Error::RequestIdReused => ApiError::request_id_reused(self.request_id),
            Error::Overloaded => ApiError::overloaded(),
            Error::Stopped => ApiError::unavailable("inventory"),
            Error::Conflict => ApiError::conflict(),
            Error::Unavailable => ApiError::unavailable("database"),
            Error::Store(error) => error.into(),
        }
    }

    fn refusal(&self, refusal: Refusal) -> ApiError {
        let message = refusal.to_string();
        match refusal {
            Refusal::UnknownReservation => ApiError::not_found("reservation", self.reservation),
            Refusal::Invalid(violations) => violations.into(),
            Refusal::AlreadyExists => ApiError::already_exists(ErrorReason::AlreadyExists, message)
                .with("resource", "reservation")
                .with("id", self.reservation),
            Refusal::OutOfStock(shortages) => {
                ApiError::out_of_stock(shortages.iter().map(messages::shortage))
            }
            Refusal::QueueFull(shortages) => {
                ApiError::backorder_cap_reached(shortages.iter().map(messages::shortage))
            }
            Refusal::Recomposed => ApiError::conflict(),
            Refusal::Ended(state) => {
                ApiError::failed_precondition(ErrorReason::ReservationExpired, message)
                    .with("reservation_id", self.reservation)
                    .with("state", state.as_str())
            }
            Refusal::Illegal { state, action } => ApiError::illegal_transition(
                "reservation",
                state.as_str(),
                action,
                supported_actions(state),
            ),
            Refusal::ExceedsOpen {
                field,
                open,
                requested,
            } => exceeds_open(&field, open, requested, message),
            Refusal::Committed { available } => {
                ApiError::failed_precondition(ErrorReason::StockCommitted, message)
                    .with("available", available)
            }
            Refusal::QuantityChanged { present } => {
                ApiError::new(Code::Aborted, ErrorReason::QuantityChanged, message)
                    .with("quantity", present)
            }
            Refusal::Stale { sku, present } => ApiError::etag_mismatch(present).with("sku", sku),
            Refusal::UnknownReceipt(receipt) => ApiError::not_found("expected_receipt", receipt),
            // Reserved units that are in no bucket: the books contradict each other.
            Refusal::NotThere { .. } => ApiError::internal(message),
            Refusal::TooMany { sku } => {
                ApiError::new(Code::InvalidArgument, ErrorReason::FieldOutOfRange, message)
                    .with("sku", sku)
            }
            Refusal::UnknownCorrection(id) => ApiError::not_found("correction", id),
            Refusal::CorrectionChanged { version } => {
                ApiError::etag_mismatch(oms_service::etag(version))
            }
            Refusal::CorrectionDecided { state, action } => ApiError::illegal_transition(
                "correction",
                state.as_str(),
                action,
                correction::supported_actions(state),
            ),
            Refusal::FourEyes { proposed_by } => {
                ApiError::new(Code::PermissionDenied, ErrorReason::FourEyes, message)
                    .with("proposed_by", proposed_by)
            }
            Refusal::CorrectionStale(id) => {
                ApiError::failed_precondition(ErrorReason::CorrectionStale, message)
                    .with("correction_id", id)
            }
            Refusal::StockNegative(below) => {
                ApiError::failed_precondition(ErrorReason::StockNegative, message)
                    .with("account", below.account.as_str())
                    .with("units", below.units)
            }
        }
    }
}

fn exceeds_open(field: &str, open: i64, requested: i64, message: String) -> ApiError {
    ApiError::failed_precondition(ErrorReason::QuantityExceedsOpen, message)
        .with("field", field)
        .with("open", open)
        .with("requested", requested)
}
