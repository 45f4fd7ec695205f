//! Details of an error to and from the bytes of `google.rpc.Status`.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use oms_proto::common::v1::{IllegalTransition, Shortage};
use prost::{Message, Name};
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::error::DOMAIN;

const TYPE_URL: &str = "type.googleapis.com/";

/// Bytes of details that travel at most. They go as base64 in a header, and common clients accept no
/// more than 8 KiB of headers.
const LISTED_BYTES_MAX: usize = 4 * 1_024;

/// Characters of a message that travel at most.
const MESSAGE_CHARS_MAX: usize = 500;

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field in the request, such as `lines[0].quantity`.
    pub field: String,
    /// Name of the `ErrorReason` without its prefix.
    pub reason: String,
    /// What is wrong, for people.
    pub message: String,
}

/// All details of an error.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Details {
    /// Name of the reason; empty when the error has none.
    pub(crate) reason: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) violations: Vec<FieldViolation>,
    pub(crate) shortages: Vec<Shortage>,
    pub(crate) illegal_transition: Option<IllegalTransition>,
    pub(crate) retry_after: Option<Duration>,
}

impl Details {
    pub(crate) fn into_status(mut self, code: Code, message: &str) -> Status {
        let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
        let mut budget = LISTED_BYTES_MAX;
        let violations = self.bad_request(&mut budget);
        let shortages = self.listed_shortages(&mut budget);
        let mut details = vec![self.error_info()];
        if !violations.is_empty() {
            let bad_request = pb::BadRequest {
                field_violations: violations,
            };
            details.push(any("google.rpc.BadRequest", &bad_request));
        }
        if let Some(wait) = self.retry_after {
            let retry_delay = prost_types::Duration::try_from(wait).ok();
            details.push(any("google.rpc.RetryInfo", &pb::RetryInfo { retry_delay }));
        }
        details.extend(shortages.iter().map(any_of_ours));
        details.extend(self.illegal_transition.iter().map(any_of_ours));
        let status = pb::Status {
            code: code as i32,
            message: message.clone(),
            details,
        };
        Status::with_details(code, message, Bytes::from(status.encode_to_vec()))
    }

    /// Reads the details of a status; what is unknown or malformed is left out.
    pub(crate) fn of(status: &Status) -> Self {
        let mut details = Self::default();
        let Ok(packed) = pb::Status::decode(status.details()) else {
            return details;
        };
        for detail in &packed.details {
            details.read(detail);
        }
        details
    }

    fn read(&mut self, detail: &Any) {
        let name = detail.type_url.rsplit('/').next().unwrap_or_default();
        let bytes = &*detail.value;
        if name == "google.rpc.ErrorInfo" {
            if let Ok(info) = pb::ErrorInfo::decode(bytes) {
                self.reason = info.reason;
                self.metadata.extend(info.metadata);
            }
        } else if name == "google.rpc.BadRequest" {
            if let Ok(bad_request) = pb::BadRequest::decode(bytes) {
                let violations = bad_request.field_violations.into_iter();
                self.violations
                    .extend(violations.map(|violation| FieldViolation {
                        field: violation.field,
                        reason: violation.reason,
                        message: violation.description,
                    }));
            }
        } else if name == "google.rpc.RetryInfo" {
            let info = pb::RetryInfo::decode(bytes).ok();
            let delay = info.and_then(|info| info.retry_delay);
            self.retry_after = delay.and_then(|delay| delay.try_into().ok());
        } else if name == Shortage::full_name() {
            self.shortages.extend(Shortage::decode(bytes).ok());
        } else if name == IllegalTransition::full_name() {
            self.illegal_transition = IllegalTransition::decode(bytes).ok();
        }
    }

    fn error_info(&self) -> Any {
        let info = pb::ErrorInfo {
            reason: self.reason.clone(),
            domain: DOMAIN.to_owned(),
            metadata: self.metadata.clone().into_iter().collect(),
        };
        any("google.rpc.ErrorInfo", &info)
    }

    /// As many violations as the budget allows; when some are left out, the metadata says how many
    /// there are.
    fn bad_request(&mut self, budget: &mut usize) -> Vec<pb::bad_request::FieldViolation> {
        let total = self.violations.len();
        let listed: Vec<_> = std::mem::take(&mut self.violations)
            .into_iter()
            .map(|violation| pb::bad_request::FieldViolation {
                field: violation.field,
                description: violation.message,
                reason: violation.reason,
                localized_message: None,
            })
            .take_while(|violation| spend(budget, violation.encoded_len()))
            .collect();
        self.say_total("violations_total", total, listed.len());
        listed
    }

    fn listed_shortages(&mut self, budget: &mut usize) -> Vec<Shortage> {
        let total = self.shortages.len();
        // Each travels in an `Any` that names its type.
        let overhead = TYPE_URL.len() + Shortage::full_name().len() + 8;
        let listed: Vec<_> = std::mem::take(&mut self.shortages)
            .into_iter()
            .take_while(|shortage| spend(budget, shortage.encoded_len() + overhead))
            .collect();
        self.say_total("shortages_total", total, listed.len());
        listed
    }

    fn say_total(&mut self, key: &str, total: usize, listed: usize) {
        if listed < total {
            self.metadata.insert(key.to_owned(), total.to_string());
        }
    }
}

fn spend(budget: &mut usize, bytes: usize) -> bool {
    let left = budget.checked_sub(bytes);
    *budget = left.unwrap_or(0);
    left.is_some()
}

fn any(name: &str, message: &impl Message) -> Any {
    Any {
        type_url: format!("{TYPE_URL}{name}"),
        value: message.encode_to_vec(),
    }
}

fn any_of_ours<M: Message + Name>(message: &M) -> Any {
    any(&M::full_name(), message)
}
