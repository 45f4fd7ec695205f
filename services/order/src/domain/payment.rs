//! Payment transactions: one row per thing asked of a provider.

use oms_core::{Currency, OrderId, PaymentId};
use time::OffsetDateTime;

/// Kind of a payment transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PaymentKind {
    /// Money is set aside.
    Authorization,
    /// Money is taken.
    Capture,
    /// What is left of an authorization is given up.
    Void,
    /// Money goes back.
    Refund,
}

impl PaymentKind {
    /// All kinds.
    pub(crate) const ALL: [Self; 4] =
        [Self::Authorization, Self::Capture, Self::Void, Self::Refund];

    /// The name that the database and the proto enum use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "AUTHORIZATION",
            Self::Capture => "CAPTURE",
            Self::Void => "VOID",
            Self::Refund => "REFUND",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// What the timeline calls it.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Authorization => "authorize_payment",
            Self::Capture => "capture_payment",
            Self::Void => "void_payment",
            Self::Refund => "refund_payment",
        }
    }
}

/// State of a payment transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PaymentState {
    /// Written down, not sent.
    Initiated,
    /// Sent.
    Pending,
    /// Done.
    Succeeded,
    /// Refused.
    Failed,
    /// The answer is not known.
    InDoubt,
}

impl PaymentState {
    /// All states.
    pub(crate) const ALL: [Self; 5] = [
        Self::Initiated,
        Self::Pending,
        Self::Succeeded,
        Self::Failed,
        Self::InDoubt,
    ];

    /// The name that the database and the proto enum use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Initiated => "INITIATED",
            Self::Pending => "PENDING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::InDoubt => "IN_DOUBT",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// True when the provider's answer is written down.
    pub(crate) fn is_settled(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// A payment transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payment {
    /// Id.
    pub(crate) payment_id: PaymentId,
    /// Order.
    pub(crate) order_id: OrderId,
    /// Kind.
    pub(crate) kind: PaymentKind,
    /// State.
    pub(crate) state: PaymentState,
    /// Amount in minor units, above zero.
    pub(crate) amount: i64,
    /// Currency of the amount.
    pub(crate) currency: Currency,
    /// Number of the order's tender, from 1.
    pub(crate) tender: i32,
    /// Name of the provider.
    pub(crate) provider: String,
    /// The provider's reference; empty until known.
    pub(crate) provider_reference: String,
    /// Authorization of a capture or void, capture of a refund.
    pub(crate) parent_payment_id: Option<PaymentId>,
    /// What caused it, such as `order` or `shipment/<id>`; one transaction per order, kind and cause.
    pub(crate) cause: String,
    /// Code of the refusal; empty otherwise.
    pub(crate) failure_code: String,
    /// When what it sets aside is given up by the provider; `None` when that is not known to happen.
    pub(crate) expires_at: Option<OffsetDateTime>,
    /// Who caused it.
    pub(crate) actor: String,
    /// When it was written.
    pub(crate) created_at: OffsetDateTime,
    /// When it changed last.
    pub(crate) updated_at: OffsetDateTime,
}

/// Authorizations that succeeded, in the order in which money is taken from them.
pub(super) fn by_tender(payments: &[Payment]) -> Vec<&Payment> {
    let done = |payment: &&Payment| {
        payment.kind == PaymentKind::Authorization && payment.state == PaymentState::Succeeded
    };
    let mut found: Vec<&Payment> = payments.iter().filter(done).collect();
    // Stable: older ones of a tender come first.
    found.sort_by_key(|payment| payment.tender);
    found
}

/// The authorizations of which something is neither captured nor given up, with how much that is in minor units, in
/// the order in which money is taken from them.
pub(crate) fn open_authorizations(payments: &[Payment]) -> Vec<(&Payment, i64)> {
    let used = |parent: &Payment| -> i64 {
        payments
            .iter()
            .filter(|payment| payment.state == PaymentState::Succeeded)
            .filter(|payment| payment.parent_payment_id == Some(parent.payment_id))
            .map(|payment| payment.amount)
            .sum()
    };
    by_tender(payments)
        .into_iter()
        .map(|payment| (payment, payment.amount - used(payment)))
        .filter(|(_, left)| *left > 0)
        .collect()
}

/// What a provider said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done, under this reference.
    Approved {
        /// The provider's reference.
        reference: String,
        /// When an authorization ends, if the provider tells.
        expires_at: Option<OffsetDateTime>,
    },
    /// Refused for good, with the provider's code.
    Declined {
        /// Such as `insufficient_funds`.
        code: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_the_database_knows_them() {
        let sql = include_str!("../../migrations/0003_money.sql");
        for kind in PaymentKind::ALL {
            assert_eq!(PaymentKind::parse(kind.as_str()), Some(kind));
            assert!(sql.contains(&format!("'{}'", kind.as_str())));
        }
        for state in PaymentState::ALL {
            assert_eq!(PaymentState::parse(state.as_str()), Some(state));
            assert!(sql.contains(&format!("'{}'", state.as_str())));
        }
    }
}
