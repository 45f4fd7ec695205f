//! What happens in the situations that matter most, step by step.

use oms_core::ShipmentId;
use time::Duration;
use uuid::Uuid;

use super::account::Account;
use super::command::{Command, Fill, Issue, Mode, Release};
use super::fixture::{
    ACTOR, HOLD, adjust, board, key, of, receive, relocate, reservation_id, reserve, rows, start,
    units_of,
};
use super::refusal::Refusal;
use super::reservation::ReservationState;

#[test]
fn a_reservation_goes_from_held_to_shipped() {
    let mut board = board();
    board.decide(&receive(0, 0, 5), ACTOR).unwrap();
    let held = of(board.decide(&reserve(1, &[(0, 3)], HOLD, Fill::OrKill), ACTOR));
    assert_eq!((held.state, held.version), (ReservationState::Held, 1));
    assert_eq!(held.expires_at, Some(start() + Duration::MINUTE));
    let confirm = Command::Confirm {
        reservation: reservation_id(1),
    };
    let allocated = of(board.decide(&confirm, ACTOR));
    assert_eq!(
        (allocated.state, allocated.expires_at),
        (ReservationState::Allocated, None)
    );
    // Again: the same answer and no second event.
    assert_eq!(of(board.decide(&confirm, ACTOR)), allocated);
    let issue = Command::Issue(Issue {
        reservation: reservation_id(1),
        shipment: ShipmentId::new(Uuid::from_u128(7)),
        units: vec![units_of(&board, 1, 0, 3)],
    });
    let shipped = of(board.decide(&issue, ACTOR));
    assert_eq!(
        (shipped.state, shipped.version),
        (ReservationState::Consumed, 3)
    );
    assert_eq!(
        of(board.decide(&issue, ACTOR)),
        shipped,
        "a shipment is issued once"
    );
    assert_eq!(board.level(&key(0, 0)).buckets.0, [2, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_release_that_comes_first_leaves_a_tombstone() {
    let mut board = board();
    board.decide(&receive(0, 0, 5), ACTOR).unwrap();
    let release = Command::Release(Release {
        reservation: reservation_id(1),
        order: None,
        units: Vec::new(),
    });
    assert_eq!(
        of(board.decide(&release, ACTOR)).state,
        ReservationState::Released
    );
    let late = of(board.decide(&reserve(1, &[(0, 3)], HOLD, Fill::OrKill), ACTOR));
    assert_eq!((late.state, late.version), (ReservationState::Released, 1));
    assert_eq!(board.level(&key(0, 0)).buckets.get(Account::Available), 5);
}

#[test]
fn confirm_and_expire_exclude_each_other() {
    let confirm = Command::Confirm {
        reservation: reservation_id(1),
    };
    let expire = Command::Expire {
        reservation: reservation_id(1),
    };
    for expire_first in [false, true] {
        let mut board = board();
        board.decide(&receive(0, 0, 3), ACTOR).unwrap();
        board
            .decide(&reserve(1, &[(0, 3)], HOLD, Fill::OrKill), ACTOR)
            .unwrap();
        board.now += Duration::minutes(2);
        if expire_first {
            assert_eq!(
                of(board.decide(&expire, ACTOR)).state,
                ReservationState::Expired
            );
            let late = board.decide(&confirm, ACTOR);
            assert_eq!(late, Err(Refusal::Ended(ReservationState::Expired)));
        } else {
            assert_eq!(
                of(board.decide(&confirm, ACTOR)).state,
                ReservationState::Allocated
            );
            assert_eq!(
                of(board.decide(&expire, ACTOR)).state,
                ReservationState::Allocated
            );
        }
    }
}

#[test]
fn receipts_serve_the_oldest_backorder_first() {
    let mut board = board();
    for id in 1..=2 {
        board
            .decide(&reserve(id, &[(0, 4)], Mode::Allocate, Fill::All), ACTOR)
            .unwrap();
        board.now += Duration::SECOND;
    }
    board.decide(&receive(0, 1, 6), ACTOR).unwrap();
    let units = |id| -> Vec<_> {
        let rows = rows(&board, id).into_iter();
        rows.map(|(state, _, _, units)| (state, units)).collect()
    };
    assert_eq!(units(1), [(ReservationState::Allocated, 4)]);
    assert_eq!(
        units(2),
        [
            (ReservationState::Backordered, 2),
            (ReservationState::Allocated, 2)
        ]
    );
}

#[test]
fn stock_for_an_order_that_is_not_confirmed_is_only_held() {
    let mut board = board();
    let made = of(board.decide(&reserve(1, &[(0, 4)], HOLD, Fill::All), ACTOR));
    assert_eq!(made.state, ReservationState::Backordered);
    board.decide(&receive(0, 1, 6), ACTOR).unwrap();
    let one = board.reservations.get(&reservation_id(1)).unwrap();
    assert_eq!(one.state, ReservationState::Held);
    board.now += Duration::minutes(2);
    let ended = of(board.decide(
        &Command::Expire {
            reservation: reservation_id(1),
        },
        ACTOR,
    ));
    assert_eq!(ended.state, ReservationState::Expired);
    assert_eq!(board.level(&key(0, 1)).buckets.get(Account::Available), 6);
}

#[test]
fn a_correction_takes_no_more_than_there_is() {
    let mut board = board();
    board.decide(&receive(0, 0, 5), ACTOR).unwrap();
    board
        .decide(&reserve(1, &[(0, 3)], HOLD, Fill::OrKill), ACTOR)
        .unwrap();
    assert_eq!(
        board.decide(&adjust(0, 0, -6), ACTOR),
        Err(Refusal::Committed { available: 5 })
    );
    board.decide(&adjust(0, 0, -5), ACTOR).unwrap();
    assert_eq!(board.level(&key(0, 0)).buckets.on_hand(), 0);
}

#[test]
fn moved_units_are_taken_elsewhere() {
    let mut board = board();
    board.decide(&receive(0, 0, 5), ACTOR).unwrap();
    board.decide(&receive(0, 1, 2), ACTOR).unwrap();
    board
        .decide(&reserve(1, &[(0, 3)], Mode::Allocate, Fill::OrKill), ACTOR)
        .unwrap();
    let too_many = relocate(&board, 1, 0, 3, 1);
    let Err(Refusal::OutOfStock(shortages)) = board.decide(&too_many, ACTOR) else {
        panic!("it should be short");
    };
    assert_eq!((shortages[0].requested, shortages[0].available), (3, 2));
    assert_eq!(shortages[0].location, Some(super::fixture::node(1)));
    let moved = of(board.decide(&relocate(&board, 1, 0, 2, 1), ACTOR));
    assert_eq!(
        (moved.state, moved.version),
        (ReservationState::Allocated, 2)
    );
    let allocated = |at: &str, units| {
        (
            ReservationState::Allocated,
            "A".to_owned(),
            at.to_owned(),
            units,
        )
    };
    assert_eq!(rows(&board, 1), [allocated("x", 1), allocated("y", 2)]);
    assert_eq!(board.level(&key(0, 0)).buckets.0, [4, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(board.level(&key(0, 1)).buckets.0, [0, 0, 2, 0, 0, 0, 0, 0]);
    let to_itself = relocate(&board, 1, 0, 1, 0);
    assert!(matches!(
        board.decide(&to_itself, ACTOR),
        Err(Refusal::Invalid(_))
    ));
}

#[test]
fn more_than_is_open_is_refused() {
    let mut board = board();
    board.decide(&receive(0, 0, 5), ACTOR).unwrap();
    board
        .decide(&reserve(1, &[(0, 3)], Mode::Allocate, Fill::OrKill), ACTOR)
        .unwrap();
    let units = units_of(&board, 1, 0, 2);
    let twice = Command::Release(Release {
        reservation: reservation_id(1),
        order: None,
        units: vec![units.clone(), units],
    });
    let refusal = Refusal::ExceedsOpen {
        field: "lines[1]".to_owned(),
        open: 3,
        requested: 4,
    };
    assert_eq!(board.decide(&twice, ACTOR), Err(refusal));
}

#[test]
fn demand_that_queues_beside_free_stock_is_served_at_once_and_in_its_turn() {
    let mut board = board();
    of(board.decide(&reserve(1, &[(0, 2)], Mode::Queue, Fill::All), ACTOR));
    board.decide(&receive(0, 0, 5), ACTOR).unwrap();
    let late = of(board.decide(&reserve(2, &[(0, 4)], Mode::Queue, Fill::All), ACTOR));
    let units = |state| {
        let rows = late.rows.iter().filter(|(key, _)| key.state == state);
        rows.map(|(_, row)| row.quantity).sum::<i64>()
    };
    assert_eq!(units(ReservationState::Allocated), 3);
    assert_eq!(units(ReservationState::Backordered), 1);
}
