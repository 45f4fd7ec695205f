//! Errors as callers see them: `google.rpc.Status` with details.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

use oms_core::{Violation, Violations};
use oms_postgres::{ErrorKind, TaskError};
use oms_proto::common::v1::{ErrorReason, IllegalTransition, Shortage};
use oms_telemetry::TraceContext;
use tonic::{Code, Status};

use crate::details::{self, Details};
use crate::peer_error::is_retryable;

/// `ErrorInfo.domain` of every error.
pub(crate) const DOMAIN: &str = "oms";

/// Metadata of the error that ends an answer without an end, where that is no failure: `age` or `drain`.
pub(crate) const STREAM_ENDED: &str = "ended";

/// An error of a command or a query, as the caller of an RPC sees it.
///
/// Nothing in it may name SQL, files or hosts: what operators need belongs into the log. A code and a
/// reason are always there; metadata and details are added where they help.
///
/// ```
/// use oms_proto::common::v1::ErrorReason;
/// use oms_service::ApiError;
///
/// let error = ApiError::failed_precondition(ErrorReason::NotPacked, "pack it first")
///     .with("fulfillment_order_id", "0190f7b4-7f2a-7c3e-8a51-1d2e3f405162");
/// let status = tonic::Status::from(error);
/// assert_eq!(status.code(), tonic::Code::FailedPrecondition);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError(Box<Content>);

#[derive(Debug, Clone, PartialEq)]
struct Content {
    code: Code,
    reason: ErrorReason,
    message: String,
    metadata: BTreeMap<String, String>,
    violations: Vec<Violation>,
    shortages: Vec<Shortage>,
    illegal_transition: Option<IllegalTransition>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// An error with this code, reason and message for people.
    pub fn new(code: Code, reason: ErrorReason, message: impl Into<String>) -> Self {
        Self(Box::new(Content {
            code,
            reason,
            message: message.into(),
            metadata: BTreeMap::new(),
            violations: Vec::new(),
            shortages: Vec::new(),
            illegal_transition: None,
            retry_after: None,
        }))
    }

    /// Adds an entry to the metadata, as the comment of the reason in the contract names it.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Display) -> Self {
        self.0.metadata.insert(key.into(), value.to_string());
        self
    }

    /// Adds what is wrong with a field.
    #[must_use]
    pub fn with_violation(mut self, violation: Violation) -> Self {
        self.0.violations.push(violation);
        self
    }

    /// Adds a line that stock does not cover.
    #[must_use]
    pub fn with_shortage(mut self, shortage: Shortage) -> Self {
        self.0.shortages.push(shortage);
        self
    }

    /// Says why a command is illegal now.
    #[must_use]
    pub fn with_illegal_transition(mut self, illegal: IllegalTransition) -> Self {
        self.0.illegal_transition = Some(illegal);
        self
    }

    /// Says when it is worth to try again.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// INVALID_ARGUMENT for one field. To tell everything that is wrong at once, collect
    /// [`Violations`] and convert them.
    pub fn invalid(
        field: impl Into<String>,
        reason: ErrorReason,
        message: impl Into<String>,
    ) -> Self {
        let violation = Violation {
            field: field.into(),
            reason: reason_name(reason),
            message: message.into(),
        };
        Violations::from(violation).into()
    }

    /// NOT_FOUND: the id that was asked for, such as `not_found("order", id)`.
    pub fn not_found(resource: &str, id: impl Display) -> Self {
        let message = format!("{resource} not found");
        Self::new(Code::NotFound, ErrorReason::NotFound, message)
            .with("resource", resource)
            .with("id", id)
    }

    /// ABORTED: the etag of the request is not the present one.
    pub fn etag_mismatch(present: impl Display) -> Self {
        let message = "it was changed since it was read; read again";
        Self::new(Code::Aborted, ErrorReason::EtagMismatch, message).with("etag", present)
    }

    /// FAILED_PRECONDITION: the state of the aggregate does not allow the action.
    pub fn illegal_transition<T: Into<String>>(
        aggregate: &str,
        state: &str,
        action: &str,
        supported_actions: impl IntoIterator<Item = T>,
    ) -> Self {
        let message = format!("{action} is not possible: {aggregate} is {state}");
        let reason = ErrorReason::IllegalTransition;
        Self::failed_precondition(reason, message)
            .with("aggregate", aggregate)
            .with("state", state)
            .with("action", action)
            .with_illegal_transition(IllegalTransition {
                aggregate: aggregate.to_owned(),
                state: state.to_owned(),
                action: action.to_owned(),
                supported_actions: supported_actions.into_iter().map(Into::into).collect(),
            })
    }

    /// FAILED_PRECONDITION: stock does not cover what the fill policy needs.
    pub fn out_of_stock(shortages: impl IntoIterator<Item = Shortage>) -> Self {
        let message = "stock does not cover the request";
        Self::failed_precondition(ErrorReason::OutOfStock, message).with_shortages(shortages)
    }

    /// FAILED_PRECONDITION: more demand would wait for stock than may.
    pub fn backorder_cap_reached(shortages: impl IntoIterator<Item = Shortage>) -> Self {
        let message = "more would wait for stock than may";
        Self::failed_precondition(ErrorReason::BackorderCapReached, message)
            .with_shortages(shortages)
    }

    fn with_shortages(mut self, shortages: impl IntoIterator<Item = Shortage>) -> Self {
        self.0.shortages.extend(shortages);
        match self.0.shortages.first().map(|first| first.sku.clone()) {
            Some(sku) => self.with("sku", sku),
            None => self,
        }
    }

    /// FAILED_PRECONDITION for any other reason.
    pub fn failed_precondition(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, reason, message)
    }

    /// ALREADY_EXISTS, such as for an external reference that is taken.
    pub fn already_exists(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self::new(Code::AlreadyExists, reason, message)
    }

    /// INVALID_ARGUMENT: the `request_id` was used before with another body.
    pub fn request_id_reused(request_id: impl Display) -> Self {
        let message = "request_id was used before with another body";
        Self::invalid("request_id", ErrorReason::RequestIdReused, message)
            .with("request_id", request_id)
    }

    /// ABORTED: another writer was faster.
    pub fn conflict() -> Self {
        let message = "another writer was faster; try again";
        Self::new(Code::Aborted, ErrorReason::Conflict, message)
    }

    /// UNAVAILABLE: a peer or an engine cannot be reached.
    pub fn unavailable(peer: &str) -> Self {
        let message = format!("{peer} is not reachable; try again");
        Self::new(Code::Unavailable, ErrorReason::Unavailable, message)
            .with("peer", peer)
            .with_retry_after(Duration::from_secs(1))
    }

    /// UNAVAILABLE: the server ends an answer without an end, because it drains.
    pub(crate) fn stream_drained() -> Self {
        Self::unavailable("this replica").with(STREAM_ENDED, "drain")
    }

    /// UNAVAILABLE: the server ends an answer without an end, so that its caller proves again who it is.
    pub(crate) fn stream_aged() -> Self {
        let message = "the stream has reached its age; go on from the last position";
        Self::new(Code::Unavailable, ErrorReason::Unavailable, message)
            .with("peer", "this replica")
            .with(STREAM_ENDED, "age")
    }

    /// RESOURCE_EXHAUSTED: the server is at its limit.
    pub fn overloaded() -> Self {
        let message = "the server is at its limit; try again later";
        Self::new(Code::ResourceExhausted, ErrorReason::Overloaded, message)
            .with_retry_after(Duration::from_millis(500))
    }

    /// UNIMPLEMENTED.
    pub fn unimplemented(message: impl Into<String>) -> Self {
        Self::new(Code::Unimplemented, ErrorReason::Unimplemented, message)
    }

    /// INTERNAL: a defect of ours. The cause goes to the log; the caller gets the trace id by which
    /// it is found there.
    pub fn internal(cause: impl Display) -> Self {
        tracing::error!(error = %cause, "internal error");
        let error = Self::new(Code::Internal, ErrorReason::Internal, "internal error");
        match TraceContext::current().trace_id() {
            Some(trace_id) => error.with("trace_id", trace_id),
            None => error,
        }
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The reason.
    pub fn reason(&self) -> ErrorReason {
        self.0.reason
    }

    /// The message for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What is wrong with the request.
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// The lines that stock does not cover.
    pub fn shortages(&self) -> &[Shortage] {
        &self.0.shortages
    }
}

/// Name of a reason as it travels: without the prefix of the enum.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// The reason with this name; `None` for names of later versions.
pub fn reason_from_name(name: &str) -> Option<ErrorReason> {
    ErrorReason::from_str_name(&format!("ERROR_REASON_{name}"))
}

impl Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", reason_name(self.0.reason), self.0.message)
    }
}

impl std::error::Error for ApiError {}

/// For tasks that run a command: what may end otherwise later is tried again, a final answer needs a
/// person. A task that can do something about an answer looks at it first.
impl From<ApiError> for TaskError {
    fn from(error: ApiError) -> Self {
        if is_retryable(error.code(), Some(error.reason())) {
            Self::Retry(error.to_string())
        } else {
            Self::Stuck(error.to_string())
        }
    }
}

/// Everything that is wrong with a request as one INVALID_ARGUMENT; the first violation gives the
/// reason.
impl From<Violations> for ApiError {
    fn from(violations: Violations) -> Self {
        let violations: Vec<Violation> = violations.into_iter().collect();
        let Some(first) = violations.first() else {
            return Self::internal("an error was made of no violation");
        };
        let reason = reason_from_name(first.reason).unwrap_or(ErrorReason::FieldMalformed);
        let message = match violations.len() {
            1 => format!("{}: {}", first.field, first.message),
            n => format!("{}: {} (and {} more)", first.field, first.message, n - 1),
        };
        let field = first.field.clone();
        let mut error = Self::new(Code::InvalidArgument, reason, message).with("field", field);
        error.0.violations = violations;
        error
    }
}

impl From<Violation> for ApiError {
    fn from(violation: Violation) -> Self {
        Violations::from(violation).into()
    }
}

/// The one place where failures of the database become answers.
impl From<oms_postgres::Error> for ApiError {
    fn from(error: oms_postgres::Error) -> Self {
        match error.kind() {
            ErrorKind::Transient | ErrorKind::LeaseLost => Self::conflict(),
            ErrorKind::Unavailable => {
                tracing::warn!(error = %Chain(&error), "database is not available");
                Self::unavailable("database")
            }
            ErrorKind::RequestIdReused => {
                let message = "was used before with another body";
                Self::invalid("request_id", ErrorReason::RequestIdReused, message)
            }
            ErrorKind::FeedPositionGone => {
                Self::failed_precondition(ErrorReason::FeedEpochChanged, error.to_string())
            }
            ErrorKind::Database => Self::internal(Chain(&error)),
        }
    }
}

/// An error with its causes, for logs.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let content = *error.0;
        let details = Details {
            reason: reason_name(content.reason).to_owned(),
            metadata: content.metadata,
            violations: content
                .violations
                .into_iter()
                .map(|violation| details::FieldViolation {
                    field: violation.field,
                    reason: violation.reason.to_owned(),
                    message: violation.message,
                })
                .collect(),
            shortages: content.shortages,
            illegal_transition: content.illegal_transition,
            retry_after: content.retry_after,
        };
        details.into_status(content.code, &content.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PeerError;

    #[test]
    fn details_come_back() {
        let shortage = Shortage {
            sku: "A".to_owned(),
            requested: 3,
            available: 1,
            ..Shortage::default()
        };
        let status = Status::from(
            ApiError::out_of_stock([shortage.clone()])
                .with_retry_after(Duration::from_millis(1_500)),
        );
        let error = PeerError::from(status);
        assert_eq!(error.code(), Code::FailedPrecondition);
        assert_eq!(error.reason(), Some(ErrorReason::OutOfStock));
        assert_eq!(error.metadata("sku"), Some("A"));
        assert_eq!(error.shortages(), [shortage]);
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1_500)));
        assert!(!error.retryable());
    }

    #[test]
    fn an_illegal_transition_says_what_is_possible() {
        let error = ApiError::illegal_transition("order", "CANCELED", "confirm", ["reopen"]);
        let error = PeerError::from(Status::from(error));
        let detail = error.illegal_transition().unwrap();
        assert_eq!(error.reason(), Some(ErrorReason::IllegalTransition));
        assert_eq!(detail.state, "CANCELED");
        assert_eq!(detail.supported_actions, ["reopen"]);
    }

    #[test]
    fn all_violations_travel_and_the_first_gives_the_reason() {
        let mut violations = Violations::default();
        violations.push("lines[0].quantity", "QUANTITY_INVALID", "must be positive");
        violations.push("currency", "CURRENCY_UNKNOWN", "is no ISO 4217 code");
        let error = PeerError::from(Status::from(ApiError::from(violations)));
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(error.reason(), Some(ErrorReason::QuantityInvalid));
        let fields: Vec<_> = error.violations().iter().map(|v| &*v.field).collect();
        assert_eq!(fields, ["lines[0].quantity", "currency"]);
        assert_eq!(error.violations()[1].reason, "CURRENCY_UNKNOWN");
    }

    #[test]
    fn details_stay_below_the_header_limits_of_clients() {
        let mut violations = Violations::default();
        for n in 0..10_000 {
            violations.push(
                format!("lines[{n}].sku"),
                "FIELD_REQUIRED",
                "must not be empty",
            );
        }
        let status = Status::from(ApiError::from(violations));
        assert!(status.details().len() < 6 * 1_024);
        let error = PeerError::from(status);
        assert!(error.violations().len() > 20);
        assert_eq!(error.metadata("violations_total"), Some("10000"));
    }

    #[test]
    fn every_reason_has_a_name_that_is_read_back() {
        // There may be gaps: a number that was given up is not given again.
        let reasons: Vec<ErrorReason> = (1..200)
            .filter_map(|n| ErrorReason::try_from(n).ok())
            .collect();
        assert!(reasons.contains(&ErrorReason::StockCommitted));
        for reason in reasons {
            assert_eq!(reason_from_name(reason_name(reason)), Some(reason));
        }
    }
}
