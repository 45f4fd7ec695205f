//! Gives every error that leaves the server a code and a reason of the contract.
//!
//! Handlers answer `ApiError`, which has both. What fails before or beside them, in the codec or the
//! router, comes as tonic's own status without details and is rewritten here.

use http::HeaderMap;
use oms_proto::common::v1::ErrorReason;
use tonic::{Code, Status};

use crate::error::ApiError;

/// Largest message that is accepted, in bytes: tonic's default, which generated servers have.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// How tonic's and prost's texts begin when the bytes of a message cannot be read.
const MALFORMED: [&str; 5] = [
    "failed to decode Protobuf message",
    "Unexpected EOF decoding stream",
    "protocol error: received message with",
    "Missing request message",
    "Error decompressing",
];

/// How they begin when a message is too large, plain or after decompression.
const TOO_LARGE: [&str; 2] = [
    "Error, decoded message length too large",
    "Error decompressing: size limit",
];

/// Completes the status in headers or trailers, if there is one that says an error without details.
pub(crate) fn complete_headers(headers: &mut HeaderMap) {
    let is_error = headers
        .get(Status::GRPC_STATUS)
        .is_some_and(|code| code != "0");
    if !is_error || headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return;
    }
    let Some(status) = Status::from_header_map(headers) else {
        return;
    };
    headers.remove(Status::GRPC_MESSAGE);
    // Fails only for text that is no header, which percent encoding rules out.
    let completed = Status::from(complete(&status));
    let _ = completed.add_header(headers);
}

fn complete(status: &Status) -> ApiError {
    let message = status.message();
    let begins = |texts: &[&str]| texts.iter().any(|text| message.starts_with(text));
    if begins(&TOO_LARGE) {
        let text = format!("the message is larger than {MESSAGE_BYTES_MAX} bytes");
        return ApiError::new(Code::ResourceExhausted, ErrorReason::MessageTooLarge, text)
            .with("limit", MESSAGE_BYTES_MAX);
    }
    if begins(&MALFORMED) {
        let text = "the message cannot be decoded";
        return ApiError::new(Code::InvalidArgument, ErrorReason::MessageMalformed, text);
    }
    let reason = match status.code() {
        Code::Unimplemented if message.is_empty() => {
            return ApiError::unimplemented("the server has no such method");
        }
        Code::InvalidArgument => ErrorReason::FieldMalformed,
        Code::NotFound => ErrorReason::NotFound,
        Code::AlreadyExists => ErrorReason::AlreadyExists,
        Code::Unauthenticated => ErrorReason::Unauthenticated,
        Code::PermissionDenied => ErrorReason::ScopeMissing,
        Code::ResourceExhausted => ErrorReason::Overloaded,
        Code::FailedPrecondition => ErrorReason::IllegalTransition,
        Code::Aborted => ErrorReason::Conflict,
        Code::OutOfRange => ErrorReason::FieldOutOfRange,
        Code::Unimplemented => ErrorReason::Unimplemented,
        Code::Unavailable => ErrorReason::Unavailable,
        Code::DeadlineExceeded | Code::Cancelled => ErrorReason::DeadlineExceeded,
        // The text may say what nobody outside should read.
        Code::Internal | Code::Unknown | Code::DataLoss | Code::Ok => {
            return ApiError::internal(message);
        }
    };
    ApiError::new(status.code(), reason, message)
}
