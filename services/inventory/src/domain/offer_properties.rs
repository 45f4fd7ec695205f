//! Whatever is asked in whatever order: what a policy keeps back is not promised, and what the lanes tell is true.

use std::collections::BTreeMap;

use oms_core::{ChannelId, LocationId, Sku};
use proptest::prelude::*;
use time::Duration;

use super::account::Account;
use super::board::{Board, Loaded};
use super::command::{Command, Measure, Mode, MoveStock, SetStock};
use super::fixture::{ACTOR, key, kits, lanes, node, sku, start};
use super::policy::{ChannelRule, LocationRule, Policy};
use super::properties::{Step, any_step, audit, command_of};
use super::standing::SignalKind;
use super::told::StockFact;

fn web() -> ChannelId {
    "web".parse().unwrap()
}

/// What the SKU, its first two locations and the channel keep back, and when it is low.
fn any_policy() -> impl Strategy<Value = Policy> {
    let units = || 0..5_i64;
    (units(), units(), units(), units(), 50..=100_i64, 0..4_i64).prop_map(
        |(safety_stock, x, y, buffer, share_percent, low_stock_threshold)| {
            let rule = |safety_stock| LocationRule {
                safety_stock,
                low_stock_threshold: 0,
            };
            let channel = ChannelRule {
                buffer,
                share_percent,
            };
            Policy {
                safety_stock,
                low_stock_threshold,
                locations: [(node(0), rule(x)), (node(1), rule(y))].into(),
                channels: [(web(), channel)].into(),
            }
        },
    )
}

#[derive(Debug, Clone)]
enum Asked {
    /// As it would be without policies; a reservation is of the channel or of none.
    Step(Step, bool),
    Count {
        item: usize,
        at: usize,
        off: i64,
        units: i64,
    },
    Move {
        item: usize,
        from: usize,
        to: usize,
        units: i64,
    },
}

fn any_asked() -> impl Strategy<Value = Asked> {
    let (item, at) = (|| 0..3_usize, || 0..3_usize);
    prop_oneof![
        8 => (any_step(), any::<bool>()).prop_map(|(step, of_web)| Asked::Step(step, of_web)),
        1 => (item(), at(), 0..2_i64, 0..9_i64)
            .prop_map(|(item, at, off, units)| Asked::Count { item, at, off, units }),
        1 => (item(), at(), 1..3_usize, 1..6_i64)
            .prop_map(|(item, from, by, units)| Asked::Move { item, from, to: (from + by) % 3, units }),
    ]
}

fn command(board: &Board, asked: &Asked) -> Option<Command> {
    match asked {
        Asked::Step(step, of_web) => {
            let mut command = command_of(board, step)?;
            if let Command::Reserve(reserve) = &mut command {
                reserve.channel = of_web.then(web);
            }
            Some(command)
        }
        Asked::Count {
            item,
            at,
            off,
            units,
        } => Some(Command::SetStock(SetStock {
            key: key(*item, *at),
            measure: Measure::Available,
            quantity: *units,
            expected: free(board, &sku(*item), &node(*at)) + off,
            reason: "FOUND".to_owned(),
            cause: "count/1".to_owned(),
        })),
        Asked::Move {
            item,
            from,
            to,
            units,
        } => Some(Command::MoveStock(MoveStock {
            from: key(*item, *from),
            to: key(*item, *to),
            quantity: *units,
            reason: "OTHER".to_owned(),
            cause: "move/1".to_owned(),
        })),
    }
}

fn free(board: &Board, sku: &Sku, location: &LocationId) -> i64 {
    let here = board
        .levels
        .iter()
        .filter(|(key, _)| key.sku == *sku && key.location == *location);
    here.map(|(_, buckets)| buckets.get(Account::Available))
        .sum()
}

fn total(board: &Board, sku: &Sku) -> i64 {
    (0..3).map(|n| free(board, sku, &node(n))).sum()
}

/// Units that may be promised over all locations, counted from the levels.
fn promisable(board: &Board, sku: &Sku) -> i64 {
    let policy = &board.policies[sku];
    policy.promisable(total(board, sku), |location| free(board, sku, location))
}

/// Stock leaves the free bucket for reservations only in these ways.
fn takes_by_hand(command: &Command) -> bool {
    matches!(
        command,
        Command::Adjust(_) | Command::SetStock(_) | Command::MoveStock(_) | Command::Move(_)
    )
}

/// What is kept back was not promised by this command.
fn check(before: &Board, after: &Board, command: &Command) -> Result<(), TestCaseError> {
    for item in (0..3).map(sku) {
        let policy = &after.policies[&item];
        prop_assert_eq!(
            after.available_of.get(&item).copied().unwrap_or(0),
            total(after, &item)
        );
        if takes_by_hand(command) {
            continue;
        }
        for place in (0..3).map(node) {
            let kept = policy.kept_at(&place).min(free(before, &item, &place));
            prop_assert!(free(after, &item, &place) >= kept, "{item} at {place}");
        }
        prop_assert!(
            promisable(after, &item) >= promisable(before, &item).min(0),
            "{item}"
        );
        // Demand that queues is served as demand that waits: row by row, each offered a share of what is left.
        if let Command::Reserve(reserve) = command
            && reserve.mode != Mode::Queue
        {
            let taken = total(before, &item) - total(after, &item);
            let offered = policy.offered(promisable(before, &item), reserve.channel.as_ref());
            prop_assert!(taken <= offered, "{item}: {taken} of {offered}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_kept_back_is_not_promised(
        policies in [any_policy(), any_policy(), any_policy()],
        steps in prop::collection::vec(any_asked(), 1..60),
    ) {
        let policies: BTreeMap<Sku, Policy> = (0..3).map(sku).zip(policies).collect();
        let loaded = Loaded { lanes: lanes(3), kits: kits(), policies, ..Loaded::default() };
        let mut board = Board::new(start(), loaded);
        for asked in steps {
            if let Asked::Step(Step::Tick(seconds), _) = asked {
                board.now += Duration::seconds(seconds);
                continue;
            }
            let Some(command) = command(&board, &asked) else { continue };
            ACTOR.clone_into(&mut board.actor);
            let before = board.clone();
            if board.decide(&command, ACTOR).is_err() {
                prop_assert_eq!(&board, &before, "a refusal changed something: {:?}", asked);
            }
            check(&before, &board, &command)?;
            if let Err(wrong) = audit(&board) {
                return Err(TestCaseError::fail(format!("{asked:?}: {wrong}")));
            }
        }
        what_is_told_is_true(&board)?;
    }
}

/// The lanes began without stock, so that whoever hears the signals knows how the SKUs stand.
fn what_is_told_is_true(board: &Board) -> Result<(), TestCaseError> {
    let facts = board.stock_facts();
    for item in (0..3).map(sku) {
        let of_sku = facts.get(&item).map(Vec::as_slice).unwrap_or_default();
        let kinds: Vec<SignalKind> = of_sku
            .iter()
            .filter_map(|fact| match fact {
                StockFact::Signal(signal) => Some(signal.kind),
                _ => None,
            })
            .collect();
        let threshold = board.policies[&item].low_stock_threshold;
        let expected: &[SignalKind] = match promisable(board, &item) {
            ..=0 => &[],
            units if units <= threshold => &[SignalKind::BackInStock, SignalKind::LowStock],
            _ => &[SignalKind::BackInStock],
        };
        prop_assert_eq!(&*kinds, expected);
        let changes = of_sku
            .iter()
            .filter(|fact| matches!(fact, StockFact::Changed(_)));
        prop_assert!(changes.count() == usize::from(!of_sku.is_empty()));
    }
    Ok(())
}
