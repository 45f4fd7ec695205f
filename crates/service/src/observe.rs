//! Watches one call, as server or as client, from its start to its last byte.

use std::time::Instant;

use http::HeaderMap;
use metrics::{Gauge, counter, gauge, histogram};
use oms_telemetry::mark_failed;
use tonic::{Code, Status};
use tracing::{Span, field};

use crate::details::Details;
use crate::error::STREAM_ENDED;
use crate::names;

/// Which end of the call is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// One call under watch. When it is dropped before [`Observed::finish`], the caller went away.
pub(crate) struct Observed {
    side: Side,
    /// The service that serves or calls.
    service: &'static str,
    method: &'static str,
    span: Span,
    started: Instant,
    in_flight: Option<Gauge>,
    is_finished: bool,
}

impl Observed {
    pub(crate) fn start(
        side: Side,
        service: &'static str,
        method: &'static str,
        span: Span,
    ) -> Self {
        let in_flight =
            (side == Side::Server).then(|| gauge!(names::SERVER_IN_FLIGHT, "service" => service));
        if let Some(gauge) = &in_flight {
            gauge.increment(1.0);
        }
        Self {
            side,
            service,
            method,
            span,
            started: Instant::now(),
            in_flight,
            is_finished: false,
        }
    }

    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The call has ended with what these headers or trailers say; without a status in them it goes on.
    pub(crate) fn finish_if_said(&mut self, headers: &HeaderMap) {
        let Some(value) = headers.get(Status::GRPC_STATUS) else {
            return;
        };
        if value == "0" {
            return self.finish(Code::Ok, "");
        }
        // Absent only when the value is no code at all.
        let status = Status::from_header_map(headers).unwrap_or_else(|| Status::unknown(""));
        let details = Details::of(&status);
        // A stream that the peer ended in its course is no failure, on neither side.
        if details.metadata.contains_key(STREAM_ENDED) {
            return self.finish(Code::Ok, "");
        }
        self.finish(status.code(), &details.reason);
    }

    /// The call has ended. `reason` is the name of an `ErrorReason`, empty when there is none.
    pub(crate) fn finish(&mut self, code: Code, reason: &str) {
        if self.is_finished {
            return;
        }
        self.is_finished = true;
        if let Some(gauge) = self.in_flight.take() {
            gauge.decrement(1.0);
        }
        let name = code_name(code);
        let metric = match self.side {
            Side::Server => names::SERVER_DURATION,
            Side::Client => names::CLIENT_DURATION,
        };
        // Within the span, which is the exemplar of how long it took.
        self.span.in_scope(|| {
            histogram!(metric, "service" => self.service, "method" => self.method, "code" => name)
                .record(self.started.elapsed());
        });
        self.span.record("rpc.grpc.status_code", code as i32);
        if code == Code::Ok {
            return;
        }
        let said = if reason.is_empty() { name } else { reason };
        mark_failed(&self.span, said);
        self.span.record("oms.error.reason", field::display(said));
        if self.side == Side::Server {
            counter!(names::SERVER_ERRORS, "service" => self.service, "reason" => said.to_owned())
                .increment(1);
            self.log(code, said);
        }
    }

    /// Outages are for operators to read. Defects were logged with their cause where they were met,
    /// and what callers do wrong is not worth a line.
    fn log(&self, code: Code, said: &str) {
        let _entered = self.span.enter();
        match code {
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => {
                tracing::warn!(method = self.method, ?code, reason = said, "call failed");
            }
            _ => tracing::debug!(method = self.method, ?code, reason = said, "call failed"),
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.finish(Code::Cancelled, "");
    }
}

/// The name of a code in metrics, as the gRPC specification writes it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
