//! Why a lane says no. A refused command changes nothing.

use oms_core::{CorrectionId, Sku, Violations};

use super::account::Account;
use super::books::BelowZero;
use super::correction::CorrectionState;
use super::expected::ExpectedKey;
use super::reservation::{ReservationState, Shortage};

/// The reason of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The reservation asked for does not exist.
    #[error("reservation is not known")]
    UnknownReservation,
    /// Something that the body refers to does not exist.
    #[error("{0}")]
    Invalid(Violations),
    /// The reservation was made by another request.
    #[error("the reservation exists with another content")]
    AlreadyExists,
    /// Stock does not cover what the fill policy needs.
    #[error("stock does not cover the demand")]
    OutOfStock(Vec<Shortage>),
    /// More demand would wait than may.
    #[error("more demand would wait than may")]
    QueueFull(Vec<Shortage>),
    /// What a kit is made of has changed since it was looked up.
    #[error("what a kit is made of has changed")]
    Recomposed,
    /// The reservation ended before it was confirmed.
    #[error("the reservation ended before it was confirmed")]
    Ended(ReservationState),
    /// The units are not in a state that allows it.
    #[error("{action} is not possible while units are {}", state.as_str())]
    Illegal {
        /// Their state.
        state: ReservationState,
        /// What was asked.
        action: &'static str,
    },
    /// More was asked for than there is in that state.
    #[error("{requested} units asked for, {open} are open")]
    ExceedsOpen {
        /// Field of the request.
        field: String,
        /// Units that are open.
        open: i64,
        /// Units asked for.
        requested: i64,
    },
    /// An adjustment would take more than is there.
    #[error("only {available} units are there to be taken")]
    Committed {
        /// Units that are free, held or allocated.
        available: i64,
    },
    /// The units are not those that the caller saw.
    #[error("there are {present} units now")]
    QuantityChanged {
        /// Units that are there.
        present: i64,
    },
    /// What was read before was changed since.
    #[error("what is kept of {sku} was changed since it was read")]
    Stale {
        /// SKU that it is about.
        sku: Sku,
        /// Its version; 0 when there is none.
        present: i64,
    },
    /// The expected receipt asked for does not exist.
    #[error("expected receipt {0} is not known")]
    UnknownReceipt(ExpectedKey),
    /// The units are not in the account they shall leave, yet.
    #[error("{sku} has too few units in {}", account.as_str())]
    NotThere {
        /// SKU.
        sku: Sku,
        /// The account.
        account: Account,
    },
    /// More units than can be counted.
    #[error("{sku} has more units than can be counted")]
    TooMany {
        /// SKU.
        sku: Sku,
    },
    /// The correction asked for does not exist.
    #[error("correction is not known")]
    UnknownCorrection(CorrectionId),
    /// The correction is not the one that the caller read.
    #[error("the correction has changed since it was read")]
    CorrectionChanged {
        /// Its version.
        version: i64,
    },
    /// The correction was decided already.
    #[error("{action} is not possible while the correction is {}", state.as_str())]
    CorrectionDecided {
        /// Its state.
        state: CorrectionState,
        /// What was asked.
        action: &'static str,
    },
    /// Who asked for the run that found it may not approve it, too.
    #[error("who has found it may not approve it, too")]
    FourEyes {
        /// Who has found it.
        proposed_by: String,
    },
    /// The books differ in another way than when the correction was proposed.
    #[error("the books have changed since the correction was proposed")]
    CorrectionStale(CorrectionId),
    /// The correction would leave an account below zero.
    #[error("{} would be below zero", .0.account.as_str())]
    StockNegative(BelowZero),
}
