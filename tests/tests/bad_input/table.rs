//! The cases with what they must answer; all are run before any fails.

use anyhow::ensure;
use oms_proto::common::v1::ErrorReason;
use oms_service::{PeerError, reason_name};
use tonic::{Code, Response, Status};

/// Texts that would tell an outsider about the inside.
const INSIDE: [&str; 7] = [
    "select ",
    "insert ",
    "constraint",
    "postgres",
    "sqlx",
    ".rs",
    "panicked",
];

#[derive(Debug, Default)]
pub(crate) struct Table {
    count: usize,
    failed: Vec<String>,
}

impl Table {
    /// A case: what it is about, what was answered, and what must be.
    pub(crate) fn case<T>(
        &mut self,
        name: &str,
        answer: Result<Response<T>, Status>,
        expected: &str,
    ) {
        let error = answer.err().map(PeerError::from);
        self.judge(name, error.as_ref(), expected);
    }

    /// A case whose error was read already.
    pub(crate) fn judge(&mut self, name: &str, error: Option<&PeerError>, expected: &str) {
        self.count += 1;
        let seen = error.map_or_else(|| "success".to_owned(), seen);
        if seen != expected {
            let case = format!("{name}:\n    expected {expected}\n    answered {seen}");
            self.failed.push(case);
        }
        let Some(error) = error else { return };
        let message = error.message().to_lowercase();
        if message.is_empty() {
            self.failed.push(format!("{name}: says nothing to people"));
        }
        for inside in INSIDE.iter().filter(|inside| message.contains(**inside)) {
            let case = format!("{name}: {inside:?} left the service in {message:?}");
            self.failed.push(case);
        }
    }

    /// Fails with every case that answered something else; else the number of cases.
    pub(crate) fn finish(self) -> anyhow::Result<usize> {
        let (failed, count) = (self.failed.len(), self.count);
        ensure!(
            self.failed.is_empty(),
            "{failed} of {count} cases:\n{}",
            self.failed.join("\n")
        );
        Ok(count)
    }
}

/// What an error says, in one line.
fn seen(error: &PeerError) -> String {
    let reason = error.reason().map_or("no reason", reason_name);
    let mut text = format!("{:?} {reason}", error.code());
    if let Some(illegal) = error.illegal_transition() {
        let (aggregate, state, action) = (&illegal.aggregate, &illegal.state, &illegal.action);
        text.push_str(&format!(" {aggregate} {state} {action}"));
    }
    if let Some(resource) = error
        .metadata("resource")
        .filter(|_| error.code() == Code::NotFound)
    {
        text.push_str(&format!(" {resource}"));
    }
    for violation in error.violations() {
        text.push_str(&format!(" | {} {}", violation.field, violation.reason));
    }
    text
}

/// INVALID_ARGUMENT with these violations, `field REASON` each.
pub(crate) fn invalid(violations: &[&str]) -> String {
    let reason = violations
        .first()
        .and_then(|first| first.rsplit(' ').next())
        .unwrap_or_default();
    let mut text = format!("InvalidArgument {reason}");
    for violation in violations {
        text.push_str(" | ");
        text.push_str(violation);
    }
    text
}

/// NOT_FOUND of this kind of thing.
pub(crate) fn not_found(resource: &str) -> String {
    format!("NotFound NOT_FOUND {resource}")
}

/// FAILED_PRECONDITION: this action is not possible in this state.
pub(crate) fn illegal(aggregate: &str, state: &str, action: &str) -> String {
    format!("FailedPrecondition ILLEGAL_TRANSITION {aggregate} {state} {action}")
}

/// A code with a reason and nothing else.
pub(crate) fn plain(code: Code, reason: ErrorReason) -> String {
    format!("{code:?} {}", reason_name(reason))
}

/// FAILED_PRECONDITION for a reason.
pub(crate) fn refused(reason: ErrorReason) -> String {
    plain(Code::FailedPrecondition, reason)
}

/// ABORTED: somebody changed it since.
pub(crate) fn stale() -> String {
    plain(Code::Aborted, ErrorReason::EtagMismatch)
}

/// The request id was used before with another body.
pub(crate) fn reused() -> String {
    invalid(&["request_id REQUEST_ID_REUSED"])
}
