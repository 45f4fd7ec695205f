//! The payment provider's room: a ledger by key, as the sandbox provider keeps it.

use std::collections::BTreeMap;

use time::{Duration, OffsetDateTime};

use crate::cores::order::payment::{Answer, PaymentKind};
use crate::cores::order::renewal::EXPIRED;
use crate::world::{Sabotage, World};

/// How long an authorization lasts.
pub(crate) const LIFETIME: Duration = Duration::seconds(90);

/// What is asked of the provider.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) key: String,
    pub(crate) kind: PaymentKind,
    pub(crate) amount: i64,
    /// Reference of the authorization or capture it hangs on; empty for an authorization.
    pub(crate) parent: String,
    /// Declined whatever the rules say.
    pub(crate) is_bad: bool,
}

/// A row of the provider's ledger.
#[derive(Debug, Clone)]
pub(crate) struct Charge {
    pub(crate) key: String,
    pub(crate) kind: PaymentKind,
    pub(crate) amount: i64,
    pub(crate) parent: String,
    pub(crate) answer: Answer,
    pub(crate) at: OffsetDateTime,
    pub(crate) expires_at: Option<OffsetDateTime>,
}

impl Charge {
    /// Its reference, when it was approved.
    pub(crate) fn reference(&self) -> Option<&str> {
        match &self.answer {
            Answer::Approved { reference, .. } => Some(reference),
            Answer::Declined { .. } => None,
        }
    }
}

/// The provider's ledger.
#[derive(Default)]
pub(crate) struct Provider {
    pub(crate) charges: Vec<Charge>,
}

impl Provider {
    /// Books a request under its key.
    pub(crate) fn book(&mut self, world: &World, asked: &Asked) -> Answer {
        let known = self.charges.iter().find(|one| one.key == asked.key);
        if let Some(known) = known.filter(|_| !world.is_sabotaged(Sabotage::ForgottenKeys)) {
            return known.answer.clone();
        }
        let now = world.now();
        let expires_at = (asked.kind == PaymentKind::Authorization).then(|| now + LIFETIME);
        let answer = match self.refuse(asked, now) {
            Some(code) => Answer::Declined {
                code: code.to_owned(),
            },
            None => Answer::Approved {
                reference: format!("ref_{}_{}", self.charges.len(), asked.key),
                expires_at,
            },
        };
        world.tell(
            "provider",
            format!("{:?} {} -> {answer:?}", asked.kind, asked.amount),
        );
        self.charges.push(Charge {
            key: asked.key.clone(),
            kind: asked.kind,
            amount: asked.amount,
            parent: asked.parent.clone(),
            answer: answer.clone(),
            at: now,
            expires_at,
        });
        answer
    }

    fn refuse(&self, asked: &Asked, now: OffsetDateTime) -> Option<&'static str> {
        if asked.is_bad {
            return Some("card_declined");
        }
        if asked.kind == PaymentKind::Authorization {
            return None;
        }
        let parent = |one: &&Charge| one.reference() == Some(asked.parent.as_str());
        let Some(parent) = self.charges.iter().find(parent) else {
            return Some("unknown_charge");
        };
        let late = parent.expires_at.is_some_and(|end| end <= now);
        if asked.kind == PaymentKind::Capture && late {
            return Some(EXPIRED);
        }
        (asked.amount > parent.amount - self.used(&asked.parent)).then_some("amount_exceeds_charge")
    }

    /// What was taken from a charge.
    fn used(&self, reference: &str) -> i64 {
        self.charges
            .iter()
            .filter(|one| one.parent == reference && one.reference().is_some())
            .map(|one| one.amount)
            .sum()
    }

    /// What became of a key.
    pub(crate) fn lookup(&self, key: &str) -> Option<Answer> {
        let known: BTreeMap<&str, &Charge> = self
            .charges
            .iter()
            .map(|one| (one.key.as_str(), one))
            .collect();
        known.get(key).map(|one| one.answer.clone())
    }
}
