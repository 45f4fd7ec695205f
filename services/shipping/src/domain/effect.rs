//! The ledger of what is asked of carriers: written before it is asked, settled before it is asked again.

/// State of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum EffectState {
    /// Committed as intent; the carrier was not asked yet.
    Planned,
    /// The carrier is being asked, or whoever asked it died.
    Sent,
    /// The carrier did it.
    Confirmed,
    /// The carrier refused it.
    Failed,
    /// Nobody knows whether the carrier did it.
    InDoubt,
}

/// What a carrier is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum EffectKind {
    /// Buy labels for all packages of a shipment.
    BuyLabel,
    /// Void them.
    VoidLabel,
}

/// What to do next with an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Claim it and ask the carrier.
    Send,
    /// Claim it and ask the carrier by key whether it was done.
    Reconcile,
    /// Somebody else is at it.
    Wait,
    /// Nothing: it is settled.
    Nothing,
}

impl EffectState {
    /// All states.
    pub(crate) const ALL: [Self; 5] = [
        Self::Planned,
        Self::Sent,
        Self::Confirmed,
        Self::Failed,
        Self::InDoubt,
    ];

    /// The name that the database uses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "PLANNED",
            Self::Sent => "SENT",
            Self::Confirmed => "CONFIRMED",
            Self::Failed => "FAILED",
            Self::InDoubt => "IN_DOUBT",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// What to do with an effect in this state whose claim is or is not alive. A claim that ran out
    /// on a sent effect means that its holder died between the call and its record.
    pub(crate) fn next_step(self, claim_alive: bool) -> NextStep {
        match self {
            Self::Confirmed | Self::Failed => NextStep::Nothing,
            _ if claim_alive => NextStep::Wait,
            Self::Planned => NextStep::Send,
            Self::Sent | Self::InDoubt => NextStep::Reconcile,
        }
    }
}

impl EffectKind {
    /// The name that the database uses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BuyLabel => "BUY_LABEL",
            Self::VoidLabel => "VOID_LABEL",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::BuyLabel, Self::VoidLabel]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_twice_without_asking() {
        for state in EffectState::ALL {
            assert_eq!(EffectState::parse(state.as_str()), Some(state));
            let sends = state.next_step(false) == NextStep::Send;
            assert_eq!(sends, state == EffectState::Planned, "{state:?}");
            assert_ne!(state.next_step(true), NextStep::Send);
        }
        assert_eq!(EffectState::Sent.next_step(false), NextStep::Reconcile);
    }
}
