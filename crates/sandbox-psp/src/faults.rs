//! Faults to order. They are forgotten when the process ends.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use crate::charge::{Operation, Violation};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultKind {
    /// It is done, and the connection breaks before the answer.
    LoseReply,
    /// It is done, and the answer is 500.
    ErrorAfterSuccess,
    /// Nothing is done, and the answer is 503.
    ErrorBefore,
    /// It is done, and the answer comes late by `ms`.
    StallMs,
    /// It is declined as `card_declined`, whatever the rules say.
    Decline,
    /// Its webhook comes twice.
    DuplicateWebhook,
    /// Its webhook comes late by `ms`.
    LateWebhook,
    /// Its webhook comes after that of the next charge.
    OutOfOrderWebhook,
}

impl FaultKind {
    /// True of what goes wrong with the webhook, not with the answer.
    pub(crate) fn is_of_webhooks(self) -> bool {
        matches!(
            self,
            Self::DuplicateWebhook | Self::LateWebhook | Self::OutOfOrderWebhook
        )
    }
}

/// Which operations a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Target {
    Any,
    #[serde(untagged)]
    Only(Operation),
}

/// A fault as it is ordered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    #[serde(default = "any")]
    operation: Target,
    /// Requests that it hits.
    #[serde(default = "one")]
    times: u32,
    /// It hits every so manieth request.
    #[serde(default = "one")]
    every: u32,
    /// Of a stall or a late webhook.
    #[serde(default)]
    pub(crate) ms: u64,
}

fn any() -> Target {
    Target::Any
}

fn one() -> u32 {
    1
}

/// Longest stall in milliseconds.
const STALL_MS_MAX: u64 = 600_000;

impl Fault {
    /// Everything that is wrong with it.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        let stalls = matches!(self.kind, FaultKind::StallMs | FaultKind::LateWebhook);
        let wrong = [
            ("times", self.times == 0),
            ("every", self.every == 0),
            ("ms", stalls != (1..=STALL_MS_MAX).contains(&self.ms)),
        ];
        let wrong = wrong.into_iter().filter(|(_, is_wrong)| *is_wrong);
        wrong
            .map(|(field, _)| Violation {
                field,
                reason: "OUT_OF_RANGE",
            })
            .collect()
    }

    fn is_for(&self, operation: Operation) -> bool {
        match self.operation {
            Target::Any => true,
            Target::Only(only) => only == operation,
        }
    }
}

/// A fault, and the requests that it has seen.
struct Ordered {
    fault: Fault,
    seen: u32,
}

/// The faults that are ordered.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<Ordered>>);

impl Faults {
    /// Orders one.
    pub(crate) fn order(&self, fault: Fault) {
        self.with(|all| all.push(Ordered { fault, seen: 0 }));
    }

    /// Orders none.
    pub(crate) fn clear(&self) {
        self.with(Vec::clear);
    }

    /// The fault that hits an answer: the first that is due, which then has one time less.
    pub(crate) fn hit(&self, operation: Operation) -> Option<Fault> {
        self.hit_one(|fault| fault.is_for(operation) && !fault.kind.is_of_webhooks())
    }

    /// The fault that hits a webhook, likewise.
    pub(crate) fn hit_webhook(&self, operation: Operation) -> Option<Fault> {
        self.hit_one(|fault| fault.is_for(operation) && fault.kind.is_of_webhooks())
    }

    fn hit_one(&self, is_meant: impl Fn(&Fault) -> bool) -> Option<Fault> {
        self.with(|all| {
            let mut hit = None;
            for one in all.iter_mut().filter(|one| is_meant(&one.fault)) {
                one.seen = one.seen.wrapping_add(1);
                if hit.is_none() && one.seen % one.fault.every == 0 {
                    one.fault.times -= 1;
                    hit = Some(one.fault.clone());
                }
            }
            all.retain(|one| one.fault.times > 0);
            hit
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Ordered>) -> T) -> T {
        // A list of faults is never half changed.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Fault {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_fault_hits_every_so_manieth_request_so_many_times() {
        let faults = Faults::default();
        faults.order(fault(
            r#"{"kind": "lose_reply", "operation": "capture", "times": 2, "every": 2}"#,
        ));
        let hits: Vec<bool> = (0..6)
            .map(|_| faults.hit(Operation::Capture).is_some())
            .collect();
        assert_eq!(hits, [false, true, false, true, false, false]);
        assert!(faults.hit(Operation::Refund).is_none());
    }

    #[test]
    fn one_fault_hits_at_a_time_and_none_after_all_are_taken_back() {
        let faults = Faults::default();
        faults.order(fault(r#"{"kind": "decline"}"#));
        faults.order(fault(r#"{"kind": "error_before"}"#));
        let kind = |faults: &Faults| faults.hit(Operation::Void).map(|fault| fault.kind);
        assert_eq!(kind(&faults), Some(FaultKind::Decline));
        assert_eq!(kind(&faults), Some(FaultKind::ErrorBefore));
        assert_eq!(kind(&faults), None);
        faults.order(fault(r#"{"kind": "decline", "times": 9}"#));
        faults.clear();
        assert_eq!(kind(&faults), None);
    }

    #[test]
    fn every_wrong_field_of_a_fault_is_told() {
        let wrong = fault(r#"{"kind": "stall_ms", "times": 0, "every": 0}"#);
        let fields: Vec<&str> = wrong.violations().iter().map(|one| one.field).collect();
        assert_eq!(fields, ["times", "every", "ms"]);
        let none = fault(r#"{"kind": "stall_ms", "ms": 5, "operation": "any"}"#);
        assert_eq!(none.violations(), []);
    }
}
