//! What may go wrong in commands and queries, in the words of the domain. [`crate::api::error`] makes
//! statuses of it.

use oms_core::{OrderId, Violations};
use oms_postgres::ErrorKind;
use oms_seal::SealError;
use oms_service::PeerError;

use crate::domain::order::Order;
use crate::domain::state::{OrderAction, OrderState};
use crate::store::StoreError;

/// Failure of a command or a query.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database refused, or a row makes no sense.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Personal data cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The customer's personal data was erased.
    #[error("the personal data was erased")]
    PersonalDataErased,
    /// Orders that need the personal data are open.
    #[error("{} orders are open", open.len())]
    OpenOrders {
        /// Some of them, at most as many as are told.
        open: Vec<OrderId>,
    },
    /// The request is wrong in these ways.
    #[error("{0}")]
    Invalid(#[from] Violations),
    /// The id asked for does not exist.
    #[error("{resource} {id} not found")]
    NotFound {
        /// Kind of the thing, such as `order`.
        resource: &'static str,
        /// Id asked for.
        id: String,
    },
    /// The caller read an older version.
    #[error("the present version is {present}")]
    EtagMismatch {
        /// Version now.
        present: i64,
    },
    /// The aggregate's state does not allow the action.
    #[error("{action} is not possible: the {aggregate} is {state}")]
    IllegalTransition {
        /// Kind of the aggregate, such as `order`.
        aggregate: &'static str,
        /// State now.
        state: &'static str,
        /// What was asked for.
        action: &'static str,
        /// What is legal now.
        supported: Vec<&'static str>,
    },
    /// That cannot be decided of this parked step or task.
    #[error("{action} is not possible of a parked {step}")]
    RulingNotPossible {
        /// Step or kind of the task.
        step: String,
        /// What was asked for.
        action: &'static str,
        /// What can be done about it.
        supported: Vec<&'static str>,
    },
    /// Another order of the channel has the external reference.
    #[error("the external reference belongs to order {order_id}")]
    ExternalReferenceTaken {
        /// The order that has it.
        order_id: OrderId,
    },
    /// A store credit with this code was issued before.
    #[error("a store credit with this code was issued before")]
    StoreCreditExists,
    /// More units than are left.
    #[error("{requested} units are more than the {open} that are open")]
    QuantityExceedsOpen {
        /// Units left.
        open: i64,
        /// Units asked for.
        requested: i64,
    },
    /// More money than was captured and not refunded; minor units.
    #[error("more than the {refundable} that can be refunded")]
    RefundExceedsCaptured {
        /// What is left to refund.
        refundable: i64,
    },
    /// The system has no randomness for a secret.
    #[error("no randomness: {0}")]
    NoRandomness(#[from] getrandom::Error),
    /// A peer did not answer, or refused what it should not.
    #[error("{peer}: {source}")]
    Peer {
        /// Name of the peer.
        peer: &'static str,
        /// What it said.
        source: PeerError,
    },
}

impl From<oms_postgres::Error> for Error {
    fn from(error: oms_postgres::Error) -> Self {
        Self::Store(StoreError::Database(error))
    }
}

impl Error {
    /// True when the same may succeed a moment later: the database was away or busy.
    pub(crate) fn is_momentary(&self) -> bool {
        match self {
            Self::Store(StoreError::Database(error)) => matches!(
                error.kind(),
                ErrorKind::Transient | ErrorKind::Unavailable | ErrorKind::LeaseLost
            ),
            Self::Peer { source, .. } => source.retryable(),
            _ => false,
        }
    }

    /// No such endpoint of webhooks.
    pub(crate) fn webhook_endpoint_not_found(endpoint_id: uuid::Uuid) -> Self {
        Self::NotFound {
            resource: "webhook_endpoint",
            id: endpoint_id.to_string(),
        }
    }

    /// No such order.
    pub(crate) fn order_not_found(order_id: OrderId) -> Self {
        Self::NotFound {
            resource: "order",
            id: order_id.to_string(),
        }
    }
}

/// The state after the action, or the error that tells why not.
pub(crate) fn transition(order: &Order, action: OrderAction) -> Result<OrderState, Error> {
    order.state.after(action).ok_or_else(|| {
        let legal = |action: &OrderAction| order.state.after(*action).is_some();
        Error::IllegalTransition {
            aggregate: "order",
            state: order.state.as_str(),
            action: action.as_str(),
            supported: OrderAction::BY_CLIENTS
                .iter()
                .filter(|action| legal(action))
                .map(|action| action.as_str())
                .collect(),
        }
    })
}

/// Fails unless the caller read the present version; `None` accepts any.
pub(crate) fn check_etag(expected: Option<i64>, present: i64) -> Result<(), Error> {
    match expected {
        Some(version) if version != present => Err(Error::EtagMismatch { present }),
        _ => Ok(()),
    }
}
