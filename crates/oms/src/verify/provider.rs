//! The sandbox payment provider's ledger, in a database of its own, against our payments.

use std::collections::HashMap;

use anyhow::Context;
use uuid::Uuid;

use super::facts::Facts;
use super::invariant::{Invariant, Relation, Violation, relation};
use super::server::Databases;

pub(super) const ALL: &[Invariant] = &[
    relation(
        "provider.settled_payments_have_their_charge",
        "every payment that the sandbox provider settled is one charge of its ledger: kind, amount, currency, outcome \
         and reference; one that never got there is none",
        settled_payments_have_their_charge,
    ),
    relation(
        "provider.charges_have_their_payment",
        "what the sandbox provider was asked for is a payment of ours of the same kind, amount and currency: nobody \
         was charged twice, nobody without an intent",
        charges_have_their_payment,
    ),
];

/// Codes of payments that were given up before the provider had seen them.
const NEVER_SEEN: [&str; 3] = ["not_sent", "never_arrived", "authorization_lapsed"];

/// A row of the provider's ledger.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Charge {
    idempotency_key: String,
    kind: String,
    reference: String,
    amount: i64,
    currency: String,
    approved: bool,
    decline_code: String,
}

/// A payment of ours that goes to the provider.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Payment {
    payment_id: Uuid,
    order_id: Uuid,
    /// Of its effect; none when it has none.
    idempotency_key: Option<String>,
    kind: String,
    state: String,
    amount: i64,
    currency: String,
    provider_reference: String,
    failure_code: String,
}

/// Payments that go to the provider, for [`Facts`].
pub(super) const PAYMENTS: &str = "
    SELECT p.payment_id, p.order_id, e.idempotency_key, p.kind, p.state, p.amount, p.currency, p.provider_reference,
        p.failure_code
    FROM payments p LEFT JOIN effects e USING (payment_id) WHERE p.provider = 'sandbox'";

/// The whole ledger; `None` when there is no such database. To be read before the snapshots, so that every charge in
/// it has its payment there.
pub(super) async fn read(databases: &Databases) -> anyhow::Result<Option<Vec<Charge>>> {
    let Some(mut conn) = databases.connect_provider().await? else {
        return Ok(None);
    };
    let charges = sqlx::query_as(
        "SELECT idempotency_key, kind, reference, amount, currency, approved, decline_code FROM charges",
    )
    .fetch_all(&mut conn)
    .await
    .context("cannot read the payment provider's ledger: it has not been migrated, or this is another database")?;
    Ok(Some(charges))
}

fn skipped() -> Relation {
    Relation {
        skipped: Some("no database of the sandbox provider"),
        ..Relation::default()
    }
}

fn settled_payments_have_their_charge(facts: &Facts) -> Relation {
    let Some(charges) = &facts.charges else {
        return skipped();
    };
    let by_key: HashMap<&str, &Charge> = charges
        .iter()
        .map(|charge| (charge.idempotency_key.as_str(), charge))
        .collect();
    let mut relation = Relation::default();
    for payment in &facts.order.payments {
        let key = payment.idempotency_key.as_deref().unwrap_or_default();
        let charge = by_key.get(key).copied();
        let ours = match payment.state.as_str() {
            "SUCCEEDED" => format!("approved {}", payment.provider_reference),
            "FAILED" if NEVER_SEEN.contains(&payment.failure_code.as_str()) => "none".to_owned(),
            "FAILED" => format!("declined {}", payment.failure_code),
            // Nobody has said yet how it ended.
            _ => continue,
        };
        let theirs = match charge {
            None => "none".to_owned(),
            Some(charge) if charge.approved => format!("approved {}", charge.reference),
            Some(charge) => format!("declined {}", charge.decline_code),
        };
        let is_same = ours == theirs && charge.is_none_or(|charge| charge.is_of(payment));
        let wrong = format!(
            "payment {}: ours {ours}, theirs {theirs}",
            payment.payment_id
        );
        relation.judge(payment.order_id, (!is_same).then_some(wrong));
    }
    relation
}

fn charges_have_their_payment(facts: &Facts) -> Relation {
    let Some(charges) = &facts.charges else {
        return skipped();
    };
    let by_key: HashMap<&str, &Payment> = facts
        .order
        .payments
        .iter()
        .filter_map(|payment| Some((payment.idempotency_key.as_deref()?, payment)))
        .collect();
    let mut relation = Relation::default();
    for charge in charges {
        relation.checked += 1;
        let what = match by_key.get(charge.idempotency_key.as_str()) {
            None => format!("charge {} has no payment", charge.reference),
            Some(payment) if !charge.is_of(payment) => {
                format!(
                    "charge {} is not what payment {} asks for",
                    charge.reference, payment.payment_id
                )
            }
            Some(_) => continue,
        };
        relation.violations.push(Violation { what, order: None });
    }
    relation
}

impl Charge {
    fn is_of(&self, payment: &Payment) -> bool {
        (&self.kind, self.amount, &self.currency)
            == (&payment.kind, payment.amount, &payment.currency)
    }
}
