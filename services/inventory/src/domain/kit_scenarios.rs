//! Kits: whole or not at all, and never the same stock twice.

use super::account::Account;
use super::command::{Command, Fill, Mode, Release, Units};
use super::fixture::{
    ACTOR, HOLD, KIT, TRIPLE, adjust, board, cap, key, line_id, of, place, receive, reservation_id,
    reserve, rows, sku,
};
use super::refusal::Refusal;
use super::reservation::ReservationState as S;

fn row(state: S, item: &str, at: &str, units: i64) -> (S, String, String, i64) {
    (state, item.to_owned(), at.to_owned(), units)
}

#[test]
fn a_kit_takes_its_components() {
    let mut board = board();
    board.decide(&receive(0, 0, 3), ACTOR).unwrap();
    board.decide(&receive(1, 0, 9), ACTOR).unwrap();
    let held = of(board.decide(&reserve(1, &[(KIT, 2)], HOLD, Fill::OrKill), ACTOR));
    assert_eq!(held.state, S::Held);
    assert_eq!(
        rows(&board, 1),
        [row(S::Held, "A", "x", 2), row(S::Held, "B", "x", 4)]
    );
    assert_eq!(board.level(&key(1, 0)).buckets.get(Account::Available), 5);
}

#[test]
fn a_kit_and_a_line_that_share_a_component_do_not_pass_twice() {
    let mut board = board();
    board.decide(&receive(0, 0, 9), ACTOR).unwrap();
    board.decide(&receive(1, 0, 5), ACTOR).unwrap();
    // Two kits need four of the five, so that the line finds one.
    let both = |id, line| reserve(id, &[(KIT, 2), (1, line)], HOLD, Fill::OrKill);
    let Err(Refusal::OutOfStock(shortages)) = board.decide(&both(1, 2), ACTOR) else {
        panic!("it should be short");
    };
    let [shortage] = &*shortages else {
        panic!("{shortages:?}")
    };
    assert_eq!((shortage.order_line, shortage.available), (line_id(1), 1));
    // The other way round, the kits go short.
    let reversed = reserve(2, &[(1, 2), (KIT, 2)], HOLD, Fill::OrKill);
    let Err(Refusal::OutOfStock(shortages)) = board.decide(&reversed, ACTOR) else {
        panic!("it should be short");
    };
    assert_eq!(
        (
            shortages[0].sku.clone(),
            shortages[0].requested,
            shortages[0].available
        ),
        (sku(KIT), 2, 1)
    );
    assert!(board.decide(&both(3, 1), ACTOR).is_ok());
}

#[test]
fn two_kits_share_a_component() {
    let mut board = board();
    board.decide(&receive(0, 0, 9), ACTOR).unwrap();
    board.decide(&receive(1, 0, 7), ACTOR).unwrap();
    let some = reserve(1, &[(KIT, 2), (TRIPLE, 2)], HOLD, Fill::AllAvailable);
    let held = of(board.decide(&some, ACTOR));
    let kits: Vec<_> = held
        .shortages
        .iter()
        .map(|one| (one.sku.clone(), one.requested, one.available))
        .collect();
    assert_eq!(kits, [(sku(TRIPLE), 2, 1)]);
    assert_eq!(board.level(&key(1, 0)).buckets.get(Account::Available), 0);
}

#[test]
fn part_of_the_demand_is_whole_kits() {
    let mut board = board();
    board.decide(&receive(0, 0, 5), ACTOR).unwrap();
    board.decide(&receive(1, 0, 5), ACTOR).unwrap();
    let held = of(board.decide(&reserve(1, &[(KIT, 4)], HOLD, Fill::AllAvailable), ACTOR));
    assert_eq!(
        rows(&board, 1),
        [row(S::Held, "A", "x", 2), row(S::Held, "B", "x", 4)]
    );
    let [shortage] = &*held.shortages else {
        panic!("{:?}", held.shortages)
    };
    assert_eq!((shortage.requested, shortage.available), (4, 2));
}

#[test]
fn kits_that_wait_wait_for_each_of_their_components() {
    let mut board = board();
    board.decide(&receive(0, 0, 1), ACTOR).unwrap();
    board
        .decide(&reserve(1, &[(KIT, 2)], Mode::Allocate, Fill::All), ACTOR)
        .unwrap();
    let waits = |item: &str, units| row(S::Backordered, item, "", units);
    assert_eq!(rows(&board, 1), [waits("A", 2), waits("B", 4)]);
    assert_eq!(board.level(&key(0, 0)).buckets.get(Account::Available), 1);
    board.decide(&receive(1, 1, 5), ACTOR).unwrap();
    assert_eq!(
        rows(&board, 1),
        [waits("A", 2), row(S::Allocated, "B", "y", 4)]
    );
}

#[test]
fn components_of_a_line_are_named_by_their_sku() {
    let mut board = board();
    board.decide(&receive(0, 0, 1), ACTOR).unwrap();
    board.decide(&receive(1, 0, 2), ACTOR).unwrap();
    board
        .decide(
            &reserve(1, &[(KIT, 1)], Mode::Allocate, Fill::OrKill),
            ACTOR,
        )
        .unwrap();
    let release = |item: Option<usize>| {
        Command::Release(Release {
            reservation: reservation_id(1),
            order: None,
            units: vec![Units {
                order_line: line_id(0),
                sku: item.map(sku),
                place: Some(place(0)),
                quantity: 1,
            }],
        })
    };
    let Err(Refusal::Invalid(violations)) = board.decide(&release(None), ACTOR) else {
        panic!("it is not clear which");
    };
    assert!(
        violations.to_string().contains("lines[0].sku"),
        "{violations}"
    );
    board.decide(&release(Some(1)), ACTOR).unwrap();
    assert_eq!(
        rows(&board, 1),
        [
            row(S::Allocated, "A", "x", 1),
            row(S::Allocated, "B", "x", 1),
            row(S::Released, "B", "x", 1)
        ]
    );
}

#[test]
fn a_kit_that_was_changed_is_looked_up_again() {
    let mut board = board();
    board.decide(&receive(1, 0, 9), ACTOR).unwrap();
    board.kits.insert(sku(TRIPLE), 2);
    let stale = reserve(1, &[(TRIPLE, 1)], HOLD, Fill::OrKill);
    assert_eq!(board.decide(&stale, ACTOR), Err(Refusal::Recomposed));
    // What was no kit when it was looked up is one now.
    board.lanes.get_mut(&sku(1)).unwrap().kit_version = 3;
    let plain = reserve(2, &[(1, 1)], HOLD, Fill::OrKill);
    assert_eq!(board.decide(&plain, ACTOR), Err(Refusal::Recomposed));
}

#[test]
fn a_kit_has_no_stock_of_its_own() {
    let mut board = board();
    board.lanes.get_mut(&sku(0)).unwrap().kit_version = 1;
    for command in [receive(0, 0, 1), adjust(0, 0, 1)] {
        let Err(Refusal::Invalid(violations)) = board.decide(&command, ACTOR) else {
            panic!("{command:?}");
        };
        assert!(violations.to_string().contains("is a kit"), "{violations}");
    }
}

#[test]
fn components_that_wait_count_against_their_own_cap() {
    let mut board = board();
    cap(&mut board, 1, 5);
    let wait = |id, kits| reserve(id, &[(KIT, kits)], Mode::Allocate, Fill::All);
    board.decide(&wait(1, 2), ACTOR).unwrap();
    let Err(Refusal::QueueFull(shortages)) = board.decide(&wait(2, 1), ACTOR) else {
        panic!("six would wait");
    };
    assert_eq!(
        (
            shortages[0].sku.clone(),
            shortages[0].requested,
            shortages[0].available
        ),
        (sku(KIT), 1, 0)
    );
}
