//! Errors that a peer answers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use oms_postgres::TaskError;
use oms_proto::common::v1::{ErrorReason, IllegalTransition, Shortage};
use tonic::{Code, Status};

use crate::details::{Details, FieldViolation};
use crate::error::{ApiError, STREAM_ENDED, reason_from_name};

/// A failed call of a peer, with its details unpacked.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerError(Box<Content>);

#[derive(Debug, Clone, PartialEq)]
struct Content {
    code: Code,
    message: String,
    details: Details,
}

impl PeerError {
    /// The gRPC code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The reason; `None` when the error did not come from one of our services, such as when none
    /// was reached.
    pub fn reason(&self) -> Option<ErrorReason> {
        reason_from_name(&self.0.details.reason)
    }

    /// The message for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// An entry of the metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.0.details.metadata.get(key).map(String::as_str)
    }

    /// All metadata.
    pub fn all_metadata(&self) -> &BTreeMap<String, String> {
        &self.0.details.metadata
    }

    /// What is wrong with the request.
    pub fn violations(&self) -> &[FieldViolation] {
        &self.0.details.violations
    }

    /// The lines that stock does not cover.
    pub fn shortages(&self) -> &[Shortage] {
        &self.0.details.shortages
    }

    /// Why the command is illegal now.
    pub fn illegal_transition(&self) -> Option<&IllegalTransition> {
        self.0.details.illegal_transition.as_ref()
    }

    /// When the peer says it is worth to try again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.details.retry_after
    }

    /// Whether the same call, with the same `request_id`, may end otherwise when it is made again
    /// later. False for answers: a refusal, a bad request, something that is not there.
    ///
    /// INTERNAL and UNKNOWN count as retryable: durable work tries again until an operator has
    /// mended the peer or the attempts are used up, and nothing is decided on a defect.
    pub fn retryable(&self) -> bool {
        is_retryable(self.0.code, self.reason())
    }

    /// Whether the peer has ended a stream in its course: it drains, or the stream has reached its age. Who goes on from its
    /// position misses nothing.
    pub fn is_stream_end(&self) -> bool {
        self.0.code == Code::Unavailable && self.0.details.metadata.contains_key(STREAM_ENDED)
    }

    /// The error for our own caller, when a command cannot go on without the peer. A peer that is
    /// down or busy makes us unavailable. Personal data that was erased is gone for our caller, too. Any other error
    /// means that we called it wrongly, which is a defect of ours.
    pub fn into_api_error(self, peer: &str) -> ApiError {
        match self.0.code {
            Code::DeadlineExceeded => ApiError::new(
                Code::DeadlineExceeded,
                ErrorReason::DeadlineExceeded,
                format!("{peer} did not answer in time"),
            )
            .with("peer", peer),
            Code::Unavailable
            | Code::Cancelled
            | Code::Aborted
            | Code::ResourceExhausted
            | Code::Unknown => {
                tracing::warn!(peer, error = %self, "peer is not available");
                ApiError::unavailable(peer)
            }
            _ if self.reason() == Some(ErrorReason::PersonalDataErased) => {
                ApiError::failed_precondition(ErrorReason::PersonalDataErased, self.message())
            }
            _ => ApiError::internal(format_args!("{peer} answered {self}")),
        }
    }
}

impl From<Status> for PeerError {
    fn from(status: Status) -> Self {
        Self(Box::new(Content {
            code: status.code(),
            message: status.message().to_owned(),
            details: Details::of(&status),
        }))
    }
}

/// Whether an error with this code and reason may be gone when the same is tried again.
pub(crate) fn is_retryable(code: Code, reason: Option<ErrorReason>) -> bool {
    match code {
        Code::Aborted => !matches!(
            reason,
            Some(ErrorReason::EtagMismatch | ErrorReason::QuantityChanged)
        ),
        Code::ResourceExhausted => reason != Some(ErrorReason::MessageTooLarge),
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Internal
        | Code::Unknown => true,
        _ => false,
    }
}

/// For tasks: what may end otherwise later is tried again, a final answer needs a person. A task that
/// can do something about an answer looks at it first.
impl From<PeerError> for TaskError {
    fn from(error: PeerError) -> Self {
        if error.retryable() {
            Self::Retry(error.to_string())
        } else {
            Self::Stuck(error.to_string())
        }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Content {
            code,
            message,
            details,
        } = &*self.0;
        if details.reason.is_empty() {
            return write!(f, "{code:?}: {message}");
        }
        write!(f, "{code:?} {}: {message}", details.reason)
    }
}

impl std::error::Error for PeerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_is_down_makes_us_unavailable_and_a_defect_stays_hidden() {
        let down = PeerError::from(Status::unavailable("connection refused"));
        assert!(down.retryable());
        let error = down.into_api_error("inventory");
        assert_eq!(error.code(), Code::Unavailable);
        let wrong = PeerError::from(Status::invalid_argument("sku is empty"));
        assert!(!wrong.retryable());
        let error = wrong.into_api_error("inventory");
        assert_eq!(
            (error.code(), error.message()),
            (Code::Internal, "internal error")
        );
    }

    #[test]
    fn erased_data_is_erased_for_our_caller_too() {
        let erased = ErrorReason::PersonalDataErased;
        let theirs = Status::from(ApiError::failed_precondition(erased, "erased"));
        let ours = PeerError::from(Status::from(
            PeerError::from(theirs).into_api_error("order"),
        ));
        assert_eq!(
            (ours.code(), ours.reason(), ours.retryable()),
            (Code::FailedPrecondition, Some(erased), false)
        );
    }

    #[test]
    fn a_stale_etag_is_an_answer_and_a_conflict_is_not() {
        let stale = PeerError::from(Status::from(ApiError::etag_mismatch(3)));
        let conflict = PeerError::from(Status::from(ApiError::conflict()));
        assert!(!stale.retryable());
        assert!(conflict.retryable());
    }

    #[test]
    fn garbage_in_the_details_is_no_panic() {
        let status = Status::with_details(Code::Internal, "x", vec![0xff, 0x01].into());
        assert_eq!(PeerError::from(status).reason(), None);
    }
}
