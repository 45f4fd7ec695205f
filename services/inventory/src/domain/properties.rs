//! Whatever is asked in whatever order: nothing is oversold, every unit is somewhere, the ledger explains it all.

use std::collections::BTreeMap;

use oms_core::{LocationId, OrderId, OrderLineId, ReservationId, ShipmentId, Sku};
use proptest::prelude::*;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::account::{Account, EntryType};
use super::board::{Board, Loaded};
use super::command::{
    Adjust, Command, Fill, Issue, Mode, MoveReturned, Receive, Release, ReportShort, Reserve,
    ReturnedUnits, Units,
};
use super::effect::Outcome;
use super::fit::{Demand, Wishes};
use super::level::LevelKey;
use super::refusal::Refusal;
use super::reservation::{Place, Reservation, ReservationState};

const SKUS: [&str; 3] = ["A", "B", "C"];
const NODES: [&str; 3] = ["x", "y", "z"];

pub(super) fn sku(n: usize) -> Sku {
    SKUS[n].parse().unwrap()
}

pub(super) fn node(n: usize) -> LocationId {
    NODES[n].parse().unwrap()
}

pub(super) fn key(item: usize, at: usize) -> LevelKey {
    LevelKey {
        sku: sku(item),
        location: node(at),
        lot: String::new(),
    }
}

pub(super) fn reservation_id(n: u128) -> ReservationId {
    ReservationId::new(Uuid::from_u128(n))
}

fn line_id(n: usize) -> OrderLineId {
    OrderLineId::new(Uuid::from_u128(1_000 + n as u128))
}

pub(super) fn start() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH
}

pub(super) fn board() -> Board {
    let lanes = (0..SKUS.len()).map(sku).collect();
    Board::new(
        start(),
        Loaded {
            lanes,
            ..Loaded::default()
        },
    )
}

pub(super) fn receive(item: usize, at: usize, units: i64) -> Command {
    Command::Receive(Receive {
        lines: vec![(key(item, at), units)],
        cause: "receipt/1".to_owned(),
        reference: String::new(),
    })
}

pub(super) fn reserve(id: u128, lines: &[(usize, i64)], mode: Mode, fill: Fill) -> Command {
    Command::Reserve(Reserve {
        reservation: reservation_id(id),
        order: OrderId::new(Uuid::from_u128(id)),
        channel: None,
        fingerprint: [1; 32],
        mode,
        fill,
        lines: (0..lines.len()).map(line_id).collect(),
        demands: lines
            .iter()
            .map(|(item, quantity)| Demand {
                sku: sku(*item),
                quantity: *quantity,
                eligible: None,
            })
            .collect(),
        wishes: Wishes {
            ranked: (0..NODES.len()).map(node).collect(),
            splits_max: 2,
            single_node_within_rank: 1,
        },
    })
}

pub(super) const HOLD: Mode = Mode::Hold(Duration::MINUTE);

pub(super) const ACTOR: &str = "user:test";

pub(super) fn of(outcome: Result<Outcome, Refusal>) -> Reservation {
    match outcome.unwrap() {
        Outcome::Reservation { reservation, .. } => *reservation,
        other => panic!("{other:?}"),
    }
}

/// Whether the books are in order; the string says what is not.
pub(super) fn audit(board: &Board) -> Result<(), String> {
    let mut from_ledger: BTreeMap<LevelKey, [i64; 8]> = BTreeMap::new();
    for entry in board.entries() {
        if entry.quantity <= 0 || !entry.entry.allows(entry.from, entry.to) {
            return Err(format!("no such entry: {entry:?}"));
        }
        let sums = from_ledger.entry(entry.key.clone()).or_default();
        for (account, delta) in [(entry.from, -entry.quantity), (entry.to, entry.quantity)] {
            if let Some(bucket) = account.bucket() {
                sums[bucket] += delta;
            }
        }
    }
    let mut reserved: BTreeMap<(LevelKey, ReservationState), i64> = BTreeMap::new();
    for one in board.reservations.values() {
        for (row_key, row) in &one.rows {
            if row.quantity <= 0 {
                return Err(format!("empty row in {one:?}"));
            }
            if let Some(Place { location, lot }) = row_key.place.clone() {
                let level = LevelKey {
                    sku: row.sku.clone(),
                    location,
                    lot,
                };
                *reserved.entry((level, row_key.state)).or_default() += row.quantity;
            }
        }
    }
    for (level, _) in board.changed_levels() {
        let sums = from_ledger.remove(&level.key).unwrap_or_default();
        if level.buckets.0 != sums || sums.iter().any(|units| *units < 0) {
            return Err(format!("{level:?} but the ledger says {sums:?}"));
        }
        for (state, account) in [
            (ReservationState::Held, Account::Held),
            (ReservationState::Allocated, Account::Allocated),
        ] {
            let open = reserved.remove(&(level.key.clone(), state)).unwrap_or(0);
            if open != level.buckets.get(account) {
                return Err(format!("{level:?} but {open} units are {state:?}"));
            }
        }
    }
    let orphan = |state| matches!(state, ReservationState::Held | ReservationState::Allocated);
    match reserved.keys().find(|(_, state)| orphan(*state)) {
        Some(found) => Err(format!("{found:?} hold units of no level")),
        None => events_are_contiguous(board),
    }
}

fn events_are_contiguous(board: &Board) -> Result<(), String> {
    let mut versions: BTreeMap<ReservationId, i64> = BTreeMap::new();
    for fact in board.facts() {
        let version = versions.entry(fact.reservation().id).or_default();
        *version += 1;
        if fact.reservation().version != *version {
            return Err(format!("version {version} expected: {fact:?}"));
        }
    }
    Ok(())
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Reserve {
        id: u128,
        lines: Vec<(usize, i64)>,
        mode: u8,
        fill: u8,
    },
    Extend(u128),
    Confirm(u128),
    ReleaseAll(u128),
    ReleaseSome {
        id: u128,
        row: usize,
        quantity: i64,
    },
    Short {
        id: u128,
        row: usize,
        quantity: i64,
    },
    Issue {
        id: u128,
        row: usize,
        quantity: i64,
        shipment: u128,
    },
    Receive {
        item: usize,
        at: usize,
        units: i64,
    },
    Adjust {
        item: usize,
        at: usize,
        delta: i64,
    },
    Return {
        item: usize,
        at: usize,
        units: i64,
        entry: usize,
    },
    Tick(i64),
    Expire(u128),
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let id = 1..6_u128;
    let row = 0..4_usize;
    let units = 1..6_i64;
    let (item, at) = (0..3_usize, 0..3_usize);
    let lines = prop::collection::vec((item.clone(), 1..8_i64), 1..4);
    prop_oneof![
        4 => (id.clone(), lines, 0..3_u8, 0..3_u8)
            .prop_map(|(id, lines, mode, fill)| Step::Reserve { id, lines, mode, fill }),
        1 => id.clone().prop_map(Step::Extend),
        3 => id.clone().prop_map(Step::Confirm),
        1 => id.clone().prop_map(Step::ReleaseAll),
        2 => (id.clone(), row.clone(), units.clone())
            .prop_map(|(id, row, quantity)| Step::ReleaseSome { id, row, quantity }),
        1 => (id.clone(), row.clone(), units.clone())
            .prop_map(|(id, row, quantity)| Step::Short { id, row, quantity }),
        2 => (id.clone(), row, units.clone(), 1..4_u128)
            .prop_map(|(id, row, quantity, shipment)| Step::Issue { id, row, quantity, shipment }),
        4 => (item.clone(), at.clone(), 1..12_i64)
            .prop_map(|(item, at, units)| Step::Receive { item, at, units }),
        2 => (item.clone(), at.clone(), -8..8_i64)
            .prop_map(|(item, at, delta)| Step::Adjust { item, at, delta }),
        2 => (item, at, units, 0..4_usize)
            .prop_map(|(item, at, units, entry)| Step::Return { item, at, units, entry }),
        1 => (1..90_i64).prop_map(Step::Tick),
        2 => id.prop_map(Step::Expire),
    ]
}

/// Names units of the row with this number; of a reservation that is not there, anything.
pub(super) fn units_of(board: &Board, id: u128, row: usize, quantity: i64) -> Units {
    let rows = board
        .reservations
        .get(&reservation_id(id))
        .map(|one| &one.rows);
    match rows.and_then(|rows| rows.keys().nth(row)) {
        Some(key) => Units {
            order_line: key.order_line,
            place: key.place.clone(),
            quantity,
        },
        None => Units {
            order_line: line_id(9),
            place: None,
            quantity,
        },
    }
}

fn move_returned(item: usize, at: usize, quantity: i64, entry: usize) -> Command {
    let entries = [
        EntryType::ReturnReceive,
        EntryType::Restock,
        EntryType::QuarantineIn,
        EntryType::Scrap,
    ];
    Command::MoveReturned(MoveReturned {
        location: node(at),
        cause: "return/1".to_owned(),
        moves: vec![ReturnedUnits {
            entry: entries[entry],
            line: "1".to_owned(),
            sku: sku(item),
            quantity,
        }],
    })
}

pub(super) fn command_of(board: &Board, step: &Step) -> Option<Command> {
    let command = match step.clone() {
        Step::Reserve {
            id,
            lines,
            mode,
            fill,
        } => reserve(
            id,
            &lines,
            [HOLD, Mode::Allocate, Mode::Queue][usize::from(mode)],
            [Fill::OrKill, Fill::All, Fill::AllAvailable][usize::from(fill)],
        ),
        Step::Extend(id) => Command::Extend {
            reservation: reservation_id(id),
            time_to_live: Duration::seconds(30),
        },
        Step::Confirm(id) => Command::Confirm {
            reservation: reservation_id(id),
        },
        Step::ReleaseAll(id) => Command::Release(Release {
            reservation: reservation_id(id),
            order: None,
            units: Vec::new(),
        }),
        Step::ReleaseSome { id, row, quantity } => Command::Release(Release {
            reservation: reservation_id(id),
            order: None,
            units: vec![units_of(board, id, row, quantity)],
        }),
        Step::Short { id, row, quantity } => Command::ReportShort(ReportShort {
            reservation: reservation_id(id),
            units: units_of(board, id, row, quantity),
            reason: "NOT_FOUND".to_owned(),
        }),
        Step::Issue {
            id,
            row,
            quantity,
            shipment,
        } => Command::Issue(Issue {
            reservation: reservation_id(id),
            shipment: ShipmentId::new(Uuid::from_u128(shipment)),
            units: vec![units_of(board, id, row, quantity)],
        }),
        Step::Receive { item, at, units } => receive(item, at, units),
        Step::Adjust { delta: 0, .. } | Step::Tick(_) => return None,
        Step::Adjust { item, at, delta } => Command::Adjust(Adjust {
            key: key(item, at),
            delta,
            reason: "OTHER".to_owned(),
            cause: "adjustment/1".to_owned(),
        }),
        Step::Return {
            item,
            at,
            units,
            entry,
        } => move_returned(item, at, units, entry),
        Step::Expire(id) => Command::Expire {
            reservation: reservation_id(id),
        },
    };
    Some(command)
}

proptest! {
    #[test]
    fn the_books_are_always_in_order(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut board = board();
        for step in steps {
            if let Step::Tick(seconds) = step {
                board.now += Duration::seconds(seconds);
                continue;
            }
            let Some(command) = command_of(&board, &step) else { continue };
            ACTOR.clone_into(&mut board.actor);
            let before = board.clone();
            let decided = board.decide(&command, ACTOR);
            if decided.is_err() {
                prop_assert_eq!(&board, &before, "a refusal changed something: {:?}", step);
            }
            if let (Command::Reserve(reserve), Ok(Outcome::Reservation { reservation, shortages })) = (&command, &decided)
                && reserve.fill == Fill::OrKill && !before.reservations.contains_key(&reserve.reservation)
            {
                prop_assert!(shortages.is_empty());
                let taken: i64 = reservation.rows.values().map(|row| row.quantity).sum();
                let asked: i64 = reserve.demands.iter().map(|demand| demand.quantity).sum();
                prop_assert_eq!(taken, asked);
            }
            if let Err(wrong) = audit(&board) {
                return Err(TestCaseError::fail(format!("{step:?}: {wrong}")));
            }
        }
    }
}
