//! The two axes of a fulfillment order: execution, which says what may still happen, and floor,
//! which says how far the warehouse is.

use super::machine::{Named, Table};

/// Execution axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Ready to be worked on.
    Open,
    /// Stopped by a hold.
    OnHold,
    /// Being worked on.
    InProgress,
    /// Ended without a shipment, with units that were not found.
    Incomplete,
    /// Everything shipped, canceled or handed back as short.
    Closed,
    /// Every unit canceled before work started.
    Canceled,
}

/// What happens to a fulfillment order on the execution axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Somebody stops work that has not started.
    Hold,
    /// The hold ends.
    ReleaseHold,
    /// It enters the floor.
    CreateWave,
    /// A picker scans units.
    ScanPick,
    /// A picker does not find units.
    ReportShortPick,
    /// A packer opens a session.
    OpenPackSession,
    /// Units are canceled.
    Cancel,
    /// A shipment left with units.
    Ship,
    /// Every unit is canceled.
    CancelLast,
    /// Nothing is left to do, and something shipped.
    Close,
    /// Nothing is left to do, nothing shipped, and units were short.
    EndIncomplete,
}

use Action as A;
use State as S;

/// Every legal step of the execution axis.
pub(crate) const TRANSITIONS: &Table<State, Action> = &[
    (S::Open, A::Hold, S::OnHold),
    (S::OnHold, A::ReleaseHold, S::Open),
    (S::Open, A::CreateWave, S::Open),
    (S::Open, A::Cancel, S::Open),
    (S::OnHold, A::Cancel, S::OnHold),
    (S::Open, A::CancelLast, S::Canceled),
    (S::OnHold, A::CancelLast, S::Canceled),
    (S::Open, A::ScanPick, S::InProgress),
    (S::Open, A::ReportShortPick, S::InProgress),
    (S::InProgress, A::ScanPick, S::InProgress),
    (S::InProgress, A::ReportShortPick, S::InProgress),
    (S::InProgress, A::OpenPackSession, S::InProgress),
    (S::InProgress, A::Ship, S::InProgress),
    (S::InProgress, A::Cancel, S::InProgress),
    (S::InProgress, A::Close, S::Closed),
    (S::InProgress, A::EndIncomplete, S::Incomplete),
];

impl State {
    /// True when nothing can happen any more.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, S::Incomplete | S::Closed | S::Canceled)
    }
}

impl Named for State {
    const ALL: &'static [Self] = &[
        S::Open,
        S::OnHold,
        S::InProgress,
        S::Incomplete,
        S::Closed,
        S::Canceled,
    ];

    fn name(self) -> &'static str {
        match self {
            S::Open => "OPEN",
            S::OnHold => "ON_HOLD",
            S::InProgress => "IN_PROGRESS",
            S::Incomplete => "INCOMPLETE",
            S::Closed => "CLOSED",
            S::Canceled => "CANCELED",
        }
    }
}

impl Action {
    /// Actions that clients may ask for, as `supported_actions` lists them.
    pub(crate) const BY_CLIENTS: [Self; 7] = [
        A::Hold,
        A::ReleaseHold,
        A::CreateWave,
        A::ScanPick,
        A::ReportShortPick,
        A::OpenPackSession,
        A::Cancel,
    ];
}

impl Named for Action {
    const ALL: &'static [Self] = &[
        A::Hold,
        A::ReleaseHold,
        A::CreateWave,
        A::ScanPick,
        A::ReportShortPick,
        A::OpenPackSession,
        A::Cancel,
        A::Ship,
        A::CancelLast,
        A::Close,
        A::EndIncomplete,
    ];

    fn name(self) -> &'static str {
        match self {
            A::Hold => "hold",
            A::ReleaseHold => "release_hold",
            A::CreateWave => "create_wave",
            A::ScanPick => "scan_pick",
            A::ReportShortPick => "report_short_pick",
            A::OpenPackSession => "open_pack_session",
            A::Cancel => "cancel",
            A::Ship => "ship",
            A::CancelLast => "cancel_last",
            A::Close => "close",
            A::EndIncomplete => "end_incomplete",
        }
    }
}

/// Floor axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FloorStage {
    /// Not on the floor.
    None,
    /// In a wave.
    Released,
    /// A picker works on it.
    Picking,
    /// Everything picked or reported short.
    Picked,
    /// A pack session is open.
    Packing,
    /// Everything picked is packed.
    Packed,
}

/// What moves a fulfillment order on the floor axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FloorStep {
    /// A wave takes it.
    Release,
    /// The first unit is scanned or reported short.
    StartPick,
    /// The last unit is scanned, reported short or canceled.
    FinishPick,
    /// The same when everything that was picked is packed already.
    FinishPacked,
    /// A pack session opens.
    OpenPack,
    /// A pack session ends while units are still to be picked.
    BackToPick,
    /// A pack session ends while picked units are still to be packed.
    BackToPicked,
    /// A pack session ends with everything packed.
    FinishPack,
}

use FloorStage as F;
use FloorStep as P;

/// Every legal step of the floor axis.
pub(crate) const FLOOR: &Table<FloorStage, FloorStep> = &[
    (F::None, P::Release, F::Released),
    (F::Released, P::StartPick, F::Picking),
    (F::Picking, P::FinishPick, F::Picked),
    (F::Picking, P::FinishPacked, F::Packed),
    (F::Picking, P::OpenPack, F::Packing),
    (F::Picked, P::OpenPack, F::Packing),
    (F::Packing, P::BackToPick, F::Picking),
    (F::Packing, P::BackToPicked, F::Picked),
    (F::Packing, P::FinishPack, F::Packed),
];

impl Named for FloorStage {
    const ALL: &'static [Self] = &[
        F::None,
        F::Released,
        F::Picking,
        F::Picked,
        F::Packing,
        F::Packed,
    ];

    fn name(self) -> &'static str {
        match self {
            F::None => "NONE",
            F::Released => "RELEASED",
            F::Picking => "PICKING",
            F::Picked => "PICKED",
            F::Packing => "PACKING",
            F::Packed => "PACKED",
        }
    }
}

impl Named for FloorStep {
    const ALL: &'static [Self] = &[
        P::Release,
        P::StartPick,
        P::FinishPick,
        P::FinishPacked,
        P::OpenPack,
        P::BackToPick,
        P::BackToPicked,
        P::FinishPack,
    ];

    fn name(self) -> &'static str {
        match self {
            P::Release => "release",
            P::StartPick => "start_pick",
            P::FinishPick => "finish_pick",
            P::FinishPacked => "finish_packed",
            P::OpenPack => "open_pack",
            P::BackToPick => "back_to_pick",
            P::BackToPicked => "back_to_picked",
            P::FinishPack => "finish_pack",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::{check_table, sql_list};
    use super::*;

    #[test]
    fn the_tables_are_whole() {
        check_table(State::Open, TRANSITIONS);
        check_table(FloorStage::None, FLOOR);
    }

    #[test]
    fn final_states_allow_nothing() {
        for (from, action, _) in TRANSITIONS {
            assert!(!from.is_final(), "{from:?} {action:?}");
        }
    }

    #[test]
    fn the_database_knows_the_same_states() {
        let sql = include_str!("../../migrations/0002_fulfillment_orders.sql");
        assert!(sql.contains(&format!("CHECK (state IN ({}))", sql_list::<State>())));
        assert!(sql.contains(&format!(
            "CHECK (floor_stage IN ({}))",
            sql_list::<FloorStage>()
        )));
    }
}
