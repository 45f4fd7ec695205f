//! A small world for tests of the board: three SKUs at three locations, two kits, and commands about them.

use std::collections::BTreeMap;

use oms_core::{LocationId, OrderId, OrderLineId, ReservationId, Sku};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::board::{Board, Loaded};
use super::command::{Adjust, Command, Fill, Mode, Receive, Reserve, Units};
use super::effect::Outcome;
use super::fit::{Demand, Wishes};
use super::kit::{Kit, Part};
use super::lane::LaneState;
use super::level::LevelKey;
use super::move_reservation::{MoveReservation, MovedUnits};
use super::refusal::Refusal;
use super::reservation::{Place, Reservation, ReservationState, Urgency};

/// The last two are kits.
const SKUS: [&str; 5] = ["A", "B", "C", "K", "L"];
pub(super) const SHELF: usize = 3;
const NODES: [&str; 3] = ["x", "y", "z"];

/// Kit of one A and two B.
pub(super) const KIT: usize = 3;
/// Kit of three B.
pub(super) const TRIPLE: usize = 4;

pub(super) const HOLD: Mode = Mode::Hold(Duration::MINUTE);

pub(super) const ACTOR: &str = "user:test";

pub(super) fn sku(n: usize) -> Sku {
    SKUS[n].parse().unwrap()
}

pub(super) fn node(n: usize) -> LocationId {
    NODES[n].parse().unwrap()
}

pub(super) fn place(at: usize) -> Place {
    Place {
        location: node(at),
        lot: String::new(),
    }
}

pub(super) fn key(item: usize, at: usize) -> LevelKey {
    place(at).level(&sku(item))
}

pub(super) fn reservation_id(n: u128) -> ReservationId {
    ReservationId::new(Uuid::from_u128(n))
}

pub(super) fn line_id(n: usize) -> OrderLineId {
    OrderLineId::new(Uuid::from_u128(1_000 + n as u128))
}

pub(super) fn start() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH
}

fn kit(item: usize) -> Option<Kit> {
    let parts: &[(usize, i64)] = match item {
        KIT => &[(0, 1), (1, 2)],
        TRIPLE => &[(1, 3)],
        _ => return None,
    };
    let parts = parts.iter().map(|(item, quantity)| Part {
        sku: sku(*item),
        quantity: *quantity,
    });
    Some(Kit {
        version: 1,
        parts: parts.collect(),
    })
}

/// Lanes of the first SKUs.
pub(super) fn lanes(skus: usize) -> BTreeMap<Sku, LaneState> {
    (0..skus).map(|n| (sku(n), LaneState::default())).collect()
}

pub(super) fn kits() -> BTreeMap<Sku, i64> {
    [KIT, TRIPLE].map(|n| (sku(n), 1)).into()
}

pub(super) fn board() -> Board {
    Board::new(
        start(),
        Loaded {
            lanes: lanes(SHELF),
            kits: kits(),
            ..Loaded::default()
        },
    )
}

/// Lets no more units of a SKU wait.
pub(super) fn cap(board: &mut Board, item: usize, most: i64) {
    let lane = board.lanes.get_mut(&sku(item)).unwrap();
    lane.backorder_max = Some(most);
}

pub(super) fn receive(item: usize, at: usize, units: i64) -> Command {
    Command::Receive(Receive {
        lines: vec![(key(item, at), units)],
        cause: "receipt/1".to_owned(),
        reference: String::new(),
    })
}

pub(super) fn adjust(item: usize, at: usize, delta: i64) -> Command {
    Command::Adjust(Adjust {
        key: key(item, at),
        delta,
        reason: "LOST".to_owned(),
        cause: "adjustment/1".to_owned(),
    })
}

/// The parts of [`reserve`], to be changed.
pub(super) fn demand(id: u128, lines: &[(usize, i64)], mode: Mode, fill: Fill) -> Reserve {
    Reserve {
        reservation: reservation_id(id),
        order: OrderId::new(Uuid::from_u128(id)),
        channel: None,
        fingerprint: [1; 32],
        mode,
        fill,
        urgency: Urgency::NORMAL,
        lines: (0..lines.len()).map(line_id).collect(),
        demands: lines
            .iter()
            .map(|(item, quantity)| Demand {
                sku: sku(*item),
                quantity: *quantity,
                eligible: None,
                kit: kit(*item),
            })
            .collect(),
        wishes: Wishes {
            ranked: (0..NODES.len()).map(node).collect(),
            splits_max: 2,
            single_node_within_rank: 1,
            ship_complete: false,
        },
    }
}

pub(super) fn reserve(id: u128, lines: &[(usize, i64)], mode: Mode, fill: Fill) -> Command {
    Command::Reserve(demand(id, lines, mode, fill))
}

/// Demand that waits for what is not there.
pub(super) fn waiting(id: u128, lines: &[(usize, i64)], urgency: Urgency) -> Command {
    Command::Reserve(Reserve {
        urgency,
        ..demand(id, lines, Mode::Allocate, Fill::All)
    })
}

pub(super) fn complete(id: u128, lines: &[(usize, i64)], fill: Fill) -> Command {
    let mut reserve = demand(id, lines, Mode::Allocate, fill);
    reserve.wishes.ship_complete = true;
    Command::Reserve(reserve)
}

/// Moves units of the row with this number.
pub(super) fn relocate(board: &Board, id: u128, row: usize, quantity: i64, to: usize) -> Command {
    Command::Move(MoveReservation {
        reservation: reservation_id(id),
        moves: vec![MovedUnits {
            units: units_of(board, id, row, quantity),
            to: place(to),
        }],
    })
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
            sku: Some(key.sku.clone()),
            place: key.place.clone(),
            quantity,
        },
        None => Units {
            order_line: line_id(9),
            sku: None,
            place: None,
            quantity,
        },
    }
}

pub(super) fn of(outcome: Result<Outcome, Refusal>) -> Reservation {
    match outcome.unwrap() {
        Outcome::Reservation { reservation, .. } => *reservation,
        other => panic!("{other:?}"),
    }
}

/// State, SKU, location and units of the rows of a reservation.
pub(super) fn rows(board: &Board, id: u128) -> Vec<(ReservationState, String, String, i64)> {
    let one = board.reservations.get(&reservation_id(id)).unwrap();
    let at = |place: &Option<Place>| {
        place
            .as_ref()
            .map(|place| place.location.to_string())
            .unwrap_or_default()
    };
    one.rows
        .iter()
        .map(|(key, row)| (key.state, key.sku.to_string(), at(&key.place), row.quantity))
        .collect()
}
