//! Why a command is refused.

/// An action that an aggregate knows, and why it may not be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SupportedAction {
    /// Name of the action.
    pub(crate) action: &'static str,
    /// `None` when it may be done.
    pub(crate) refused_because: Option<String>,
}

/// The state of an aggregate does not allow an action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action} is not possible while the {aggregate} is {state}{why}")]
pub(crate) struct IllegalTransition {
    /// Kind of the aggregate.
    pub(crate) aggregate: &'static str,
    /// Its present state.
    pub(crate) state: String,
    /// The action that was refused.
    pub(crate) action: &'static str,
    /// What may be done now.
    pub(crate) supported_actions: Vec<&'static str>,
    /// More about the reason, beginning with ": "; empty when the state says it all.
    pub(crate) why: String,
}

/// Why a command is refused, apart from malformed requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The state does not allow it.
    #[error(transparent)]
    IllegalTransition(#[from] IllegalTransition),
    /// More units than are open.
    #[error("{requested} units were asked for, {open} are open")]
    QuantityExceedsOpen {
        /// Units that are open.
        open: i64,
        /// Units asked for.
        requested: i64,
    },
    /// The barcode belongs to none of the items at hand.
    #[error("the barcode belongs to none of the items at hand")]
    BarcodeMismatch {
        /// SKUs that would fit.
        expected_skus: Vec<String>,
    },
    /// The caller read another version.
    #[error("the object has changed since it was read")]
    EtagMismatch {
        /// The present version.
        version: i64,
    },
}

/// Compares the version that a caller read, when it named one.
pub(crate) fn check_etag(expected: Option<i64>, version: i64) -> Result<(), Refusal> {
    match expected {
        Some(expected) if expected != version => Err(Refusal::EtagMismatch { version }),
        _ => Ok(()),
    }
}
