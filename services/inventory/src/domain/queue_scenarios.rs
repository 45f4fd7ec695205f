//! Who is served first, who ships complete, how much may wait, and who loses stock that is not there.

use time::Duration;

use super::account::{Account, EntryType};
use super::command::{Command, Fill, Mode};
use super::effect::Fact;
use super::fixture::{
    ACTOR, HOLD, adjust, board, cap, complete, key, of, receive, relocate, reservation_id, reserve,
    rows, sku, start, waiting,
};
use super::refusal::Refusal;
use super::reservation::{ReservationState as S, Urgency};

fn class(class: i16) -> Urgency {
    Urgency {
        class,
        promise_at: None,
    }
}

fn promised(class: i16, days: i64) -> Urgency {
    Urgency {
        class,
        promise_at: Some(start() + Duration::days(days)),
    }
}

/// Units of a reservation in a state.
fn units(board: &super::board::Board, id: u128, state: S) -> i64 {
    let rows = rows(board, id).into_iter();
    rows.filter(|(of, ..)| *of == state)
        .map(|(.., units)| units)
        .sum()
}

#[test]
fn class_then_promise_then_age() {
    let mut board = board();
    let order = [
        (4, promised(3, 1)),
        (2, promised(3, 9)),
        (6, class(3)),
        (1, promised(5, 1)),
        (3, class(5)),
        (5, class(5)),
    ];
    // Queued in the order of their ids.
    for id in 1..=6 {
        let (_, urgency) = order.iter().find(|(of, _)| *of == id).unwrap();
        board
            .decide(&waiting(id, &[(0, 2)], *urgency), ACTOR)
            .unwrap();
        board.now += Duration::SECOND;
    }
    for (place, (id, _)) in order.iter().enumerate() {
        board.decide(&receive(0, 0, 1), ACTOR).unwrap();
        assert_eq!(
            units(&board, *id, S::Allocated),
            1,
            "place {place}: {order:?}"
        );
        // A part is served first, then the rest of it.
        board.decide(&receive(0, 1, 1), ACTOR).unwrap();
        assert_eq!(units(&board, *id, S::Backordered), 0);
    }
    assert_eq!(board.lanes[&sku(0)].backordered, 0);
}

#[test]
fn an_order_that_ships_complete_waits_whole() {
    let mut board = board();
    board.decide(&receive(0, 0, 3), ACTOR).unwrap();
    board.decide(&receive(0, 1, 3), ACTOR).unwrap();
    let Err(Refusal::OutOfStock(shortages)) =
        board.decide(&complete(1, &[(0, 4)], Fill::OrKill), ACTOR)
    else {
        panic!("no location has four");
    };
    assert_eq!((shortages[0].requested, shortages[0].available), (4, 0));
    let waits = of(board.decide(&complete(2, &[(0, 4)], Fill::All), ACTOR));
    assert_eq!(waits.state, S::Backordered);
    assert_eq!(board.level(&key(0, 0)).buckets.get(Account::Available), 3);
    // One more at y makes four there.
    board.decide(&receive(0, 1, 1), ACTOR).unwrap();
    assert_eq!(
        rows(&board, 2),
        [(S::Allocated, "A".to_owned(), "y".to_owned(), 4)]
    );
}

#[test]
fn orders_behind_one_that_ships_complete_take_what_it_cannot() {
    let mut board = board();
    board
        .decide(&complete(1, &[(0, 4)], Fill::All), ACTOR)
        .unwrap();
    board.now += Duration::SECOND;
    board
        .decide(&waiting(2, &[(0, 2)], class(9)), ACTOR)
        .unwrap();
    board.decide(&receive(0, 0, 3), ACTOR).unwrap();
    assert_eq!(
        (
            units(&board, 1, S::Allocated),
            units(&board, 2, S::Allocated)
        ),
        (0, 2)
    );
    board.decide(&receive(0, 0, 3), ACTOR).unwrap();
    assert_eq!(units(&board, 1, S::Allocated), 4);
}

#[test]
fn several_skus_that_ship_complete_are_looked_at_together() {
    let mut board = board();
    board
        .decide(&complete(1, &[(0, 2), (1, 1)], Fill::All), ACTOR)
        .unwrap();
    let allocate = Command::AllocateComplete {
        reservation: reservation_id(1),
    };
    board.decide(&receive(0, 0, 2), ACTOR).unwrap();
    assert!(board.to_complete().contains(&reservation_id(1)));
    board.decide(&receive(1, 1, 1), ACTOR).unwrap();
    assert_eq!(
        of(board.decide(&allocate, ACTOR)).state,
        S::Backordered,
        "at two places"
    );
    board.decide(&receive(0, 1, 2), ACTOR).unwrap();
    let served = of(board.decide(&allocate, ACTOR));
    assert_eq!(
        (served.state, units(&board, 1, S::Allocated)),
        (S::Allocated, 3)
    );
    assert_eq!(
        of(board.decide(&allocate, ACTOR)),
        served,
        "nothing is left to do"
    );
}

#[test]
fn no_more_waits_than_may() {
    let mut board = board();
    cap(&mut board, 0, 5);
    let date = start() + Duration::days(30);
    board.lanes.get_mut(&sku(0)).unwrap().available_from = Some(date);
    board
        .decide(&waiting(1, &[(0, 4)], class(5)), ACTOR)
        .unwrap();
    let Err(Refusal::QueueFull(shortages)) =
        board.decide(&waiting(2, &[(0, 1), (0, 1)], class(5)), ACTOR)
    else {
        panic!("six would wait");
    };
    assert_eq!(shortages.len(), 2);
    assert_eq!(shortages[0].next_supply, Some(date));
    let queued = board.decide(&reserve(3, &[(0, 2)], Mode::Queue, Fill::All), ACTOR);
    assert!(matches!(queued, Err(Refusal::QueueFull(_))), "{queued:?}");
    board
        .decide(&waiting(4, &[(0, 1)], class(5)), ACTOR)
        .unwrap();
    // What is served makes room.
    board.decide(&receive(0, 0, 2), ACTOR).unwrap();
    let made = of(board.decide(&waiting(5, &[(0, 2)], class(5)), ACTOR));
    assert_eq!(made.shortages[0].next_supply, Some(date));
    // A date that has passed tells nothing.
    board.now = date;
    let late = board.decide(&waiting(6, &[(0, 9)], class(5)), ACTOR);
    let Err(Refusal::QueueFull(shortages)) = late else {
        panic!("{late:?}");
    };
    assert_eq!(shortages[0].next_supply, None);
}

#[test]
fn stock_that_is_not_there_is_lost_by_those_who_can_wait_best() {
    let mut board = board();
    board.decide(&receive(0, 0, 8), ACTOR).unwrap();
    let hold = |id: u128, urgency| {
        let Command::Reserve(mut reserve) = reserve(id, &[(0, 2)], Mode::Allocate, Fill::OrKill)
        else {
            panic!("a reserve");
        };
        reserve.urgency = urgency;
        Command::Reserve(reserve)
    };
    for (id, urgency) in [
        (1, class(9)),
        (2, promised(5, 1)),
        (3, promised(5, 2)),
        (4, class(1)),
    ] {
        board.decide(&hold(id, urgency), ACTOR).unwrap();
    }
    board.decide(&adjust(0, 0, -5), ACTOR).unwrap();
    let left: Vec<i64> = (1..=4).map(|id| units(&board, id, S::Allocated)).collect();
    assert_eq!(left, [0, 1, 0, 2]);
    let lost: Vec<i64> = (1..=4)
        .map(|id| units(&board, id, S::Backordered))
        .collect();
    assert_eq!(lost, [2, 1, 2, 0]);
    assert_eq!(board.level(&key(0, 0)).buckets.0, [0, 0, 3, 0, 0, 0, 0, 0]);
    let told = board.facts().iter().filter(|fact| {
        matches!(
            fact,
            Fact::Changed {
                action: "displace",
                ..
            }
        )
    });
    assert_eq!(told.count(), 3);
    let reasons: Vec<_> = board
        .entries()
        .iter()
        .filter(|entry| entry.entry == EntryType::Deallocate)
        .map(|entry| (&*entry.reason, entry.quantity))
        .collect();
    assert_eq!(reasons, [("LOST", 2), ("LOST", 2), ("LOST", 1)]);
}

#[test]
fn what_was_displaced_is_had_elsewhere_when_it_can_be() {
    let mut board = board();
    board.decide(&receive(0, 0, 2), ACTOR).unwrap();
    board
        .decide(&reserve(1, &[(0, 2)], Mode::Allocate, Fill::OrKill), ACTOR)
        .unwrap();
    board.decide(&receive(0, 2, 1), ACTOR).unwrap();
    board.decide(&adjust(0, 0, -2), ACTOR).unwrap();
    let row = |state, at: &str| (state, "A".to_owned(), at.to_owned(), 1);
    assert_eq!(
        rows(&board, 1),
        [row(S::Backordered, ""), row(S::Allocated, "z")]
    );
    assert!(matches!(
        board.facts().last(),
        Some(Fact::BackorderAllocated { .. })
    ));
}

#[test]
fn displaced_units_wait_beyond_the_cap() {
    let mut board = board();
    cap(&mut board, 0, 0);
    board.decide(&receive(0, 0, 2), ACTOR).unwrap();
    board
        .decide(&reserve(1, &[(0, 2)], HOLD, Fill::OrKill), ACTOR)
        .unwrap();
    board.decide(&adjust(0, 0, -2), ACTOR).unwrap();
    assert_eq!(board.lanes[&sku(0)].backordered, 2);
    let change = board.changed_queues()[&sku(0)];
    assert_eq!((change.backordered, change.displaced), (2, 2));
    assert!(
        board
            .decide(&waiting(2, &[(0, 1)], class(0)), ACTOR)
            .is_err()
    );
}

#[test]
fn an_order_that_ships_complete_gets_the_rest_from_where_it_stands() {
    let mut board = board();
    board.decide(&receive(0, 0, 4), ACTOR).unwrap();
    board
        .decide(&complete(1, &[(0, 4)], Fill::OrKill), ACTOR)
        .unwrap();
    board.decide(&adjust(0, 0, -1), ACTOR).unwrap();
    board.decide(&receive(0, 1, 5), ACTOR).unwrap();
    assert_eq!(
        units(&board, 1, S::Backordered),
        1,
        "the rest is at another place"
    );
    // By hand it may be moved to where everything is.
    board.decide(&relocate(&board, 1, 1, 3, 1), ACTOR).unwrap();
    board
        .decide(&Command::AllocateBackorders { sku: sku(0) }, ACTOR)
        .unwrap();
    assert_eq!(
        rows(&board, 1),
        [(S::Allocated, "A".to_owned(), "y".to_owned(), 4)]
    );
}
