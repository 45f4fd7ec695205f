//! Whatever is asked in whatever order: nothing is oversold, every unit is somewhere, the ledger explains it all, and
//! no more demand waits than may.

use std::collections::BTreeMap;

use oms_core::{ReservationId, ShipmentId, Sku};
use proptest::prelude::*;
use time::Duration;
use uuid::Uuid;

use super::account::{Account, EntryType};
use super::board::Board;
use super::command::{
    Command, Fill, Issue, Mode, MoveReturned, Release, ReportShort, Reserve, ReturnedUnits, Units,
};
use super::effect::{Fact, Outcome};
use super::fixture::{
    ACTOR, HOLD, adjust, board, cap, demand, node, receive, relocate, reservation_id, sku, units_of,
};
use super::level::LevelKey;
use super::reservation::{Reservation, ReservationState, Urgency};

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
            if let Some(place) = &row_key.place {
                let level = place.level(&row_key.sku);
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
        None => events_are_contiguous(board).and_then(|()| queues_are_counted(board)),
    }
}

/// Lanes know how much waits, and it is no more than may, but for what was displaced.
fn queues_are_counted(board: &Board) -> Result<(), String> {
    let mut waiting: BTreeMap<&Sku, i64> = BTreeMap::new();
    for (sku, units) in board.reservations.values().flat_map(Reservation::waiting) {
        *waiting.entry(sku).or_default() += units;
    }
    for (sku, lane) in &board.lanes {
        let units = waiting.remove(sku).unwrap_or(0);
        let displaced = board.displaced.get(sku).copied().unwrap_or(0);
        if units != lane.backordered {
            return Err(format!("{units} units of {sku} wait, {lane:?}"));
        }
        if lane
            .backorder_max
            .is_some_and(|most| units > most + displaced)
        {
            return Err(format!("too much waits, {displaced} displaced: {lane:?}"));
        }
    }
    Ok(())
}

/// Units that orders have asked for do not multiply: what a reservation holds, waits for or has ended with is what it
/// was made of.
fn total(reservation: &Reservation) -> BTreeMap<Sku, i64> {
    let mut total = BTreeMap::new();
    for (key, row) in &reservation.rows {
        *total.entry(key.sku.clone()).or_default() += row.quantity;
    }
    total
}

/// All live units of an order that ships complete stand in one place, unless a person moved them.
fn is_together(reservation: &Reservation) -> bool {
    let live = reservation.rows.keys().filter(|key| key.state.is_live());
    let mut places = live.filter_map(|key| Some(&key.place.as_ref()?.location));
    let first = places.next();
    places.all(|place| Some(place) == first)
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
        class: i16,
        promise: Option<i64>,
        complete: bool,
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
    Move {
        id: u128,
        row: usize,
        quantity: i64,
        to: usize,
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
    AllocateBackorders(usize),
    AllocateComplete(u128),
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let id = 1..6_u128;
    let row = 0..4_usize;
    let units = 1..6_i64;
    let (item, at) = (0..3_usize, 0..3_usize);
    // Two of five are kits.
    let lines = prop::collection::vec((0..5_usize, 1..8_i64), 1..4);
    let urgency = (
        0..3_i16,
        prop::option::of(1..4_i64),
        prop::bool::weighted(0.25),
    );
    prop_oneof![
        4 => (id.clone(), lines, 0..3_u8, 0..3_u8, urgency).prop_map(
            |(id, lines, mode, fill, (class, promise, complete))| Step::Reserve {
                id, lines, mode, fill, class, promise, complete
            }
        ),
        2 => (id.clone(), row.clone(), units.clone(), at.clone())
            .prop_map(|(id, row, quantity, to)| Step::Move { id, row, quantity, to }),
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
        1 => (0..3_usize).prop_map(Step::AllocateBackorders),
        1 => id.clone().prop_map(Step::AllocateComplete),
        2 => id.prop_map(Step::Expire),
    ]
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

fn release(id: u128, units: Vec<Units>) -> Command {
    Command::Release(Release {
        reservation: reservation_id(id),
        order: None,
        units,
    })
}

pub(super) fn command_of(board: &Board, step: &Step) -> Option<Command> {
    let command = match step.clone() {
        Step::Reserve {
            id,
            lines,
            mode,
            fill,
            class,
            promise,
            complete,
        } => {
            let mode = [HOLD, Mode::Allocate, Mode::Queue][usize::from(mode)];
            let fill = [Fill::OrKill, Fill::All, Fill::AllAvailable][usize::from(fill)];
            let mut reserve = demand(id, &lines, mode, fill);
            reserve.wishes.ship_complete = complete;
            let promise_at = promise.map(|days| board.now + Duration::days(days));
            reserve.urgency = Urgency { class, promise_at };
            Command::Reserve(reserve)
        }
        Step::Extend(id) => Command::Extend {
            reservation: reservation_id(id),
            time_to_live: Duration::seconds(30),
        },
        Step::Confirm(id) => Command::Confirm {
            reservation: reservation_id(id),
        },
        Step::ReleaseAll(id) => release(id, Vec::new()),
        Step::ReleaseSome { id, row, quantity } => {
            release(id, vec![units_of(board, id, row, quantity)])
        }
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
        Step::Move {
            id,
            row,
            quantity,
            to,
        } => relocate(board, id, row, quantity, to),
        Step::Receive { item, at, units } => receive(item, at, units),
        Step::Adjust { delta: 0, .. } | Step::Tick(_) => return None,
        Step::Adjust { item, at, delta } => adjust(item, at, delta),
        Step::Return {
            item,
            at,
            units,
            entry,
        } => move_returned(item, at, units, entry),
        Step::Expire(id) => Command::Expire {
            reservation: reservation_id(id),
        },
        Step::AllocateBackorders(item) => Command::AllocateBackorders { sku: sku(item) },
        Step::AllocateComplete(id) => Command::AllocateComplete {
            reservation: reservation_id(id),
        },
    };
    Some(command)
}

/// What a command must have done besides keeping the books.
fn judge(before: &Board, after: &Board, command: &Command, told: &[Fact]) -> Result<(), String> {
    for one in after.reservations.values() {
        let then = before.reservations.get(&one.id);
        if then.is_some_and(|then| total(then) != total(one)) {
            return Err(format!("units came or went: {then:?} {one:?}"));
        }
        let was_together = then.is_none_or(is_together);
        let by_hand = matches!(command, Command::Move(_));
        if one.ship_complete && was_together && !by_hand && !is_together(one) {
            return Err(format!("an order that ships complete was split: {one:?}"));
        }
    }
    let Command::Adjust(adjust) = command else {
        return Ok(());
    };
    // A correction takes exactly what it says, whoever had it.
    let change = |board: &Board| board.level(&adjust.key).buckets.on_hand();
    let is_exact = change(after) - change(before) == adjust.delta;
    let displaces = |fact: &Fact| {
        matches!(
            fact,
            Fact::Changed {
                action: "displace",
                ..
            }
        )
    };
    let was_free = before.available(&adjust.key) + adjust.delta >= 0;
    if is_exact && !(was_free && told.iter().any(displaces)) {
        return Ok(());
    }
    Err(format!("{adjust:?} was booked as {told:?}"))
}

/// Everything that was asked for was taken, in units of the shelf.
fn is_filled(reserve: &Reserve, reservation: &Reservation) -> bool {
    let mut asked: BTreeMap<Sku, i64> = BTreeMap::new();
    for demand in &reserve.demands {
        for (sku, per) in demand.parts() {
            *asked.entry(sku.clone()).or_default() += per * demand.quantity;
        }
    }
    total(reservation) == asked
}

proptest! {
    #[test]
    fn the_books_are_always_in_order(
        steps in prop::collection::vec(any_step(), 1..60),
        most in prop::option::of(0..12_i64),
    ) {
        let mut board = board();
        if let Some(most) = most {
            cap(&mut board, 1, most);
        }
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
            } else if let Err(wrong) = judge(&before, &board, &command, &board.facts()[before.facts().len()..]) {
                return Err(TestCaseError::fail(format!("{step:?}: {wrong}")));
            }
            if let (Command::Reserve(reserve), Ok(Outcome::Reservation { reservation, shortages })) = (&command, &decided)
                && reserve.fill == Fill::OrKill && !before.reservations.contains_key(&reserve.reservation)
            {
                prop_assert!(shortages.is_empty());
                prop_assert!(is_filled(reserve, reservation));
            }
            if let Err(wrong) = audit(&board) {
                return Err(TestCaseError::fail(format!("{step:?}: {wrong}")));
            }
        }
    }
}
