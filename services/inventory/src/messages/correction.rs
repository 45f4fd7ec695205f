//! Corrections and verifications.

use oms_proto::common::v1::SupportedAction;
use oms_proto::inventory::v1 as pb;
use oms_proto::time_to_proto;

use crate::domain::books::{Drift, Resolution};
use crate::domain::correction::{Correction, CorrectionAction, CorrectionState};
use crate::domain::verification::Run;

use super::stock::account;

/// A correction.
pub(crate) fn correction(correction: &Correction) -> pb::Correction {
    let decided = correction.decided.as_ref();
    pb::Correction {
        correction_id: correction.id.to_string(),
        sku: correction.key.sku.to_string(),
        location_id: correction.key.location.to_string(),
        lot: correction.key.lot.clone(),
        state: state(correction.state).into(),
        resolution: resolution(correction.resolution).into(),
        drifts: correction.drifts.iter().map(drift).collect(),
        proposed_by: correction.proposed_by.clone(),
        propose_time: Some(time_to_proto(correction.proposed_at)),
        confirmed_by: correction.confirmed_by.clone().unwrap_or_default(),
        decided_by: decided.map(|how| how.by.clone()).unwrap_or_default(),
        decide_time: decided.map(|how| time_to_proto(how.at)),
        note: decided.map(|how| how.note.clone()).unwrap_or_default(),
        etag: correction.version.to_string(),
        supported_actions: supported_actions(correction.state),
    }
}

/// A verification.
pub(crate) fn verification(run: &Run) -> pb::LedgerVerification {
    pb::LedgerVerification {
        verification_id: run.id.to_string(),
        full: run.is_full,
        skus_checked: run.seen.skus,
        entries_read: run.seen.entries,
        levels_drifted: run.seen.levels_drifted,
        checkpoint_entry_id: run.seen.last_entry_id,
        start_time: Some(time_to_proto(run.started_at)),
        finish_time: run.finished_at.map(time_to_proto),
    }
}

fn drift(drift: &Drift) -> pb::StockDrift {
    pb::StockDrift {
        account: account(drift.account).into(),
        ledger_units: drift.ledger,
        level_units: drift.stored,
        reserved_units: drift.reserved,
    }
}

fn state(state: CorrectionState) -> pb::CorrectionState {
    match state {
        CorrectionState::Proposed => pb::CorrectionState::Proposed,
        CorrectionState::Approved => pb::CorrectionState::Approved,
        CorrectionState::Rejected => pb::CorrectionState::Rejected,
        CorrectionState::Stale => pb::CorrectionState::Stale,
    }
}

fn resolution(resolution: Resolution) -> pb::CorrectionResolution {
    match resolution {
        Resolution::FollowLedger => pb::CorrectionResolution::FollowLedger,
        Resolution::KeepLevel => pb::CorrectionResolution::KeepLevel,
    }
}

fn supported_actions(state: CorrectionState) -> Vec<SupportedAction> {
    let actions = CorrectionAction::BY_CALLERS.into_iter();
    let offers = actions.map(|action| {
        let allowed = state.after(action).is_some();
        let against = || format!("the correction is {}", state.as_str());
        SupportedAction {
            action: action.as_str().to_owned(),
            allowed,
            reason: if allowed { String::new() } else { against() },
        }
    });
    offers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_has_the_same_names() {
        for one in CorrectionState::ALL {
            let name = format!("CORRECTION_STATE_{}", one.as_str());
            assert_eq!(state(one).as_str_name(), name);
        }
        for one in Resolution::ALL {
            let name = format!("CORRECTION_RESOLUTION_{}", one.as_str());
            assert_eq!(resolution(one).as_str_name(), name);
        }
    }
}
