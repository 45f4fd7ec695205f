//! What a person may decide of work that is stuck: a saga, or a task.

use oms_core::PaymentId;

use super::payment::{Payment, PaymentKind, PaymentState};
use super::refund::{latest, parts, voids};
use super::renewal::capture_cause;
use super::saga::{Saga, SagaState, Step, UndoTo};

/// What a person decides of a step that cannot go on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// An undo counts as done; a task is given up.
    Skip,
    /// The order is rejected; what was taken is given back.
    RejectOrder,
    /// The step counts as done.
    StepDone,
    /// The provider did what it was asked for.
    EffectConfirmed,
    /// The provider did not, and will not.
    EffectFailed,
}

impl Ruling {
    /// All rulings.
    pub(crate) const ALL: [Self; 5] = [
        Self::Skip,
        Self::RejectOrder,
        Self::StepDone,
        Self::EffectConfirmed,
        Self::EffectFailed,
    ];

    /// The name that people and the contract use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::RejectOrder => "reject_order",
            Self::StepDone => "step_done",
            Self::EffectConfirmed => "effect_confirmed",
            Self::EffectFailed => "effect_failed",
        }
    }

    /// True when it says what a provider did, and the work goes on with that.
    pub(crate) fn is_of_effect(self) -> bool {
        matches!(self, Self::EffectConfirmed | Self::EffectFailed)
    }

    /// Whether it can be made of a stuck task. What a provider may have done is decided before a task is given up: without
    /// an answer to its payment the order would wait for ever.
    pub(crate) fn is_for_task(self, is_in_doubt: bool) -> bool {
        match self {
            Self::Skip => !is_in_doubt,
            Self::EffectConfirmed | Self::EffectFailed => is_in_doubt,
            Self::RejectOrder | Self::StepDone => false,
        }
    }
}

/// What can be done about something stuck for which these rulings are possible, in the words of the contract.
fn actions(is_possible: impl Fn(Ruling) -> bool) -> Vec<&'static str> {
    let rulings = Ruling::ALL.into_iter();
    let rulings = rulings.filter(|ruling| is_possible(*ruling));
    std::iter::once("retry")
        .chain(rulings.map(Ruling::as_str))
        .collect()
}

/// What can be done about a stuck task, in the words of the contract.
pub(crate) fn task_actions(is_in_doubt: bool) -> Vec<&'static str> {
    actions(|ruling| ruling.is_for_task(is_in_doubt))
}

/// The last attempts of the payments that a task of this kind asks of providers. `cause` is that of its payments, or the id of
/// the authorization that it renews.
pub(crate) fn asked_by_task<'a>(
    kind: &str,
    cause: &str,
    ledger: &'a [Payment],
) -> Vec<&'a Payment> {
    match kind {
        "capture_payment" => {
            let captures = parts(ledger, PaymentKind::Capture, cause);
            let own = |capture: &&Payment| {
                latest(ledger, PaymentKind::Authorization, &capture_cause(capture))
            };
            let mut asked: Vec<&Payment> = captures.iter().filter_map(own).collect();
            asked.extend(captures);
            asked
        }
        "renew_authorization" => {
            let renewal = format!("renewal/{cause}");
            let new = latest(ledger, PaymentKind::Authorization, &renewal);
            let old: Option<PaymentId> = cause.parse().ok();
            let gives_up = |void: &&Payment| {
                let of = void.parent_payment_id;
                of.is_some() && (of == old || of == new.map(|new| new.payment_id))
            };
            let mut asked = voids(ledger);
            asked.retain(gives_up);
            asked.extend(new);
            asked
        }
        "void_payment" => voids(ledger),
        "refund_payment" | "refund_return" | "refund_cancellation" => {
            parts(ledger, PaymentKind::Refund, cause)
        }
        _ => Vec::new(),
    }
}

/// Those of which nobody knows what the provider did.
pub(crate) fn in_doubt<'a>(asked: &[&'a Payment]) -> Vec<&'a Payment> {
    let is_sent =
        |one: &&Payment| matches!(one.state, PaymentState::Pending | PaymentState::InDoubt);
    asked.iter().copied().filter(is_sent).collect()
}

impl Saga {
    /// What it asks of payment providers at its present step.
    pub(crate) fn asked<'a>(&self, ledger: &'a [Payment]) -> Vec<&'a Payment> {
        let is_asked = |one: &&Payment| {
            self.step == Step::Authorize
                && matches!(one.kind, PaymentKind::Authorization | PaymentKind::Void)
        };
        ledger.iter().filter(is_asked).collect()
    }

    /// What can be done about it while it is stuck, in the words of the contract. `is_in_doubt` says that nobody knows what the
    /// provider did of what its step asks for.
    pub(crate) fn supported_actions(&self, is_in_doubt: bool) -> Vec<&'static str> {
        actions(|ruling| self.ruled(ruling, is_in_doubt).is_some())
    }

    /// The saga after a person has decided; `None` when that cannot be decided of its step.
    pub(crate) fn ruled(&self, ruling: Ruling, is_in_doubt: bool) -> Option<Self> {
        let mut saga = self.clone();
        saga.failures = 0;
        saga.stuck_since = None;
        match (ruling, self.undo_to) {
            (Ruling::Skip, Some(_)) if !is_in_doubt => {
                saga.state = SagaState::Undoing;
                saga.step = self.step.preceding()?;
            }
            (Ruling::RejectOrder, None) if !self.step.is_at_or_past_pivot() => {
                saga.state = SagaState::Undoing;
                // The step itself is undone too: nobody knows how far it came.
                saga.undo_to = Some(UndoTo::Rejected);
                "OPERATOR".clone_into(&mut saga.undo_reason);
            }
            (Ruling::StepDone, None) if self.step.takes_nothing() => {
                let following = self.step.following();
                saga.state = following.map_or(SagaState::Done, |_| SagaState::Running);
                saga.step = following.unwrap_or(self.step);
            }
            // The step runs again and finds the answer.
            (Ruling::EffectConfirmed | Ruling::EffectFailed, undo_to) if is_in_doubt => {
                saga.state = undo_to.map_or(SagaState::Running, |_| SagaState::Undoing);
            }
            _ => return None,
        }
        Some(saga)
    }
}

#[cfg(test)]
mod tests {
    use oms_core::OrderId;
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn payment(id: u128, kind: PaymentKind, cause: &str, parent: Option<u128>) -> Payment {
        Payment {
            payment_id: PaymentId::new(Uuid::from_u128(id)),
            order_id: OrderId::new(Uuid::nil()),
            kind,
            state: PaymentState::InDoubt,
            amount: 1,
            currency: "USD".parse().unwrap(),
            tender: 1,
            provider: "sandbox".into(),
            provider_reference: String::new(),
            parent_payment_id: parent.map(|id| PaymentId::new(Uuid::from_u128(id))),
            cause: cause.into(),
            failure_code: String::new(),
            expires_at: None,
            actor: "service:order".into(),
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    /// Ids of what a task asks for.
    fn asked(kind: &str, cause: &str, ledger: &[Payment]) -> Vec<u128> {
        let asked = asked_by_task(kind, cause, ledger);
        let mut ids: Vec<u128> = asked
            .iter()
            .map(|one| one.payment_id.uuid().as_u128())
            .collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn a_task_asks_for_its_own_payments_and_for_no_others() {
        use PaymentKind::{Authorization, Capture, Refund, Void};
        let old = PaymentId::new(Uuid::from_u128(1)).to_string();
        let late = PaymentId::new(Uuid::from_u128(3)).to_string();
        let ledger = [
            payment(1, Authorization, "order", None),
            payment(2, Authorization, &format!("renewal/{old}"), None),
            payment(3, Capture, "shipment/a", Some(1)),
            payment(4, Capture, "shipment/b", Some(1)),
            payment(5, Authorization, &format!("capture/{late}"), None),
            payment(6, Void, "order", Some(1)),
            payment(7, Refund, "return/x", Some(3)),
            payment(8, Refund, "return/x/2", Some(4)),
            payment(9, Refund, "manual/y", Some(3)),
        ];
        assert_eq!(asked("capture_payment", "shipment/a", &ledger), [3, 5]);
        assert_eq!(asked("capture_payment", "shipment/b", &ledger), [4]);
        assert_eq!(asked("renew_authorization", &old, &ledger), [2, 6]);
        assert_eq!(asked("void_payment", "", &ledger), [6]);
        assert_eq!(asked("refund_return", "return/x", &ledger), [7, 8]);
        assert_eq!(asked("refund_payment", "manual/y", &ledger), [9]);
        assert!(asked("call_back_units", "", &ledger).is_empty());
    }

    #[test]
    fn nobody_gives_up_what_a_provider_may_have_done() {
        assert_eq!(task_actions(false), ["retry", "skip"]);
        let decide = ["retry", "effect_confirmed", "effect_failed"];
        assert_eq!(task_actions(true), decide);
    }

    #[test]
    fn only_what_was_sent_and_has_no_answer_is_in_doubt() {
        let all = PaymentState::ALL.map(|state| Payment {
            state,
            ..payment(1, PaymentKind::Capture, "order", None)
        });
        let all: Vec<&Payment> = all.iter().collect();
        let open: Vec<PaymentState> = in_doubt(&all).iter().map(|one| one.state).collect();
        assert_eq!(open, [PaymentState::Pending, PaymentState::InDoubt]);
    }
}
