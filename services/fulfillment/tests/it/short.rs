//! Units that pickers do not find.

use std::time::Duration;

use oms_proto::common::v1::{ErrorReason, FillPolicy};
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fact;
use oms_proto::fulfillment::v1::{
    FloorStage, FulfillmentOrderState as State, PickLineState, ShortResolution,
};
use oms_testkit::wait_for;

use crate::peers::Silent;
use crate::rig::{EAST, MID, Rig, WEST, code, types};

/// What became of the shorts of a fulfillment order, once so many are told.
async fn resolved(rig: &Rig, order_id: &str, count: usize) -> Vec<pb::ShortResolved> {
    let mut wanted = count;
    loop {
        let events = rig.events(order_id, wanted).await;
        let found: Vec<pb::ShortResolved> = events
            .into_iter()
            .filter_map(|(_, fact)| match fact {
                Fact::ShortResolved(resolved) => Some(resolved),
                _ => None,
            })
            .collect();
        if found.len() >= count {
            return found;
        }
        wanted += 1;
    }
}

#[tokio::test]
async fn a_short_is_shipped_from_elsewhere() {
    let rig = Rig::start().await;
    rig.stock("A", WEST, 50);
    rig.stock("A", MID, 1);
    rig.stock("A", EAST, 5);
    let order = rig.order(&[("A", 3)]).await;
    let list = rig.released().await;
    rig.scan(&list.pick_list_id, &code("A"), 1).await.unwrap();
    let list = rig.short(&list, 0, 2).await.unwrap();
    assert_eq!(
        (list.lines[0].state(), list.lines[0].short),
        (PickLineState::Short, 2)
    );

    let found = resolved(&rig, &order.fulfillment_order_id, 1).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].resolution(), found[0].quantity),
        (ShortResolution::Resourced, 2)
    );
    let mut new = rig.of_order(&order.order_id).await;
    new.retain(|one| one.fulfillment_order_id != order.fulfillment_order_id);
    new.sort_by(|one, other| one.location_id.cmp(&other.location_id));
    let parts: Vec<_> = new
        .iter()
        .map(|one| (one.location_id.as_str(), one.lines[0].total, one.state()))
        .collect();
    // The west has the most, but it was short.
    assert_eq!(parts, [(MID, 1, State::Open), (EAST, 1, State::Open)]);
    let line = &new[0].lines[0];
    assert_eq!(line.reservation_id, found[0].reservation_id);
    assert_eq!(line.order_line_id, order.lines[0].order_line_id);
    assert_eq!(line.barcodes, order.lines[0].barcodes);
    assert_eq!(new[0].destination, order.destination);

    let short = rig.get(&order.fulfillment_order_id).await;
    assert_eq!(
        (short.state(), short.floor_stage()),
        (State::InProgress, FloorStage::Picked)
    );
    assert_eq!((short.lines[0].picked, short.lines[0].short), (1, 2));
    let world = rig.peers.world.lock().unwrap();
    let reported: Vec<_> = world.shorts.values().collect();
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].reservation_id, order.lines[0].reservation_id);
    assert_eq!(reported[0].line.as_ref().unwrap().quantity, 2);
    assert_eq!(reported[0].reason, "NOT_FOUND");
}

#[tokio::test]
async fn what_nobody_has_is_left_to_the_order() {
    let rig = Rig::start().await;
    rig.stock("A", MID, 1);
    let mut request = crate::rig::allocated(&[("A", WEST, 3)]);
    request.fill_policy = FillPolicy::FillOrKill.into();
    let order = rig.create(request).await.unwrap().remove(0);
    let list = rig.released().await;
    rig.short(&list, 0, 3).await.unwrap();
    let found = resolved(&rig, &order.fulfillment_order_id, 2).await;
    let told: Vec<_> = found
        .iter()
        .map(|one| (one.resolution(), one.quantity))
        .collect();
    assert_eq!(
        told,
        [
            (ShortResolution::Resourced, 1),
            (ShortResolution::Unfillable, 2)
        ]
    );
    assert!(found[1].reservation_id.is_empty());
    // Nothing was found here at all.
    let ended = rig.get(&order.fulfillment_order_id).await;
    assert_eq!(ended.state(), State::Incomplete);
    // Created, released, shorted, incomplete; resolved in two parts. It is not told to be closed.
    let events = rig.events(&order.fulfillment_order_id, 6).await;
    let (resolved, changed) = ("ShortResolved", "FulfillmentOrderStateChanged");
    let expected = [
        "FulfillmentOrderCreated",
        changed,
        "FulfillmentOrderShorted",
        changed,
        resolved,
        resolved,
    ];
    assert_eq!(types(&events), expected);
}

#[tokio::test]
async fn a_location_that_failed_an_order_is_not_asked_again() {
    let rig = Rig::start().await;
    rig.stock("A", MID, 1);
    let order = rig.order(&[("A", 1)]).await;
    let list = rig.released().await;
    rig.short(&list, 0, 1).await.unwrap();
    resolved(&rig, &order.fulfillment_order_id, 1).await;
    // Meanwhile stock turns up in the west; the second location fails too.
    rig.stock("A", WEST, 9);
    let wave = rig.wave(MID, pb::PickMethod::Single).await;
    let second = rig.pick_list(&wave.pick_list_ids[0]).await;
    rig.short(&second, 0, 1).await.unwrap();
    let order_id = &second.lines[0].fulfillment_order_id;
    let found = resolved(&rig, order_id, 1).await;
    assert_eq!(found[0].resolution(), ShortResolution::Unfillable);
}

#[tokio::test]
async fn a_lost_answer_takes_nothing_twice() {
    let rig = Rig::start().await;
    rig.stock("A", MID, 10);
    rig.peers.world.lock().unwrap().lose_answers = 2;
    let order = rig.order(&[("A", 4)]).await;
    let list = rig.released().await;
    rig.short(&list, 0, 4).await.unwrap();
    let found = wait_for("the task to try again", || async {
        // The next attempt has a time, and time stands still unless it is moved.
        rig.clock.advance(Duration::from_secs(1));
        let orders = rig.of_order(&order.order_id).await;
        if orders.len() == 2 {
            Ok(orders)
        } else {
            Err(format!("{} orders", orders.len()))
        }
    })
    .await;
    assert_eq!(found[1].lines[0].total, 4);
    let world = rig.peers.world.lock().unwrap();
    assert_eq!(world.reservations.len(), 1);
    assert_eq!(world.free[&("A".to_owned(), MID.to_owned())], 6);
    assert_eq!(world.shorts.len(), 1);
}

#[tokio::test]
async fn no_more_can_be_short_than_is_open() {
    let rig = Rig::start().await;
    rig.order(&[("A", 2)]).await;
    let list = rig.released().await;
    let over = rig.short(&list, 0, 3).await.unwrap_err();
    assert_eq!(over.reason(), Some(ErrorReason::QuantityExceedsOpen));
    let request = pb::ReportShortPickRequest {
        request_id: crate::rig::id(),
        pick_list_id: list.pick_list_id.clone(),
        pick_line_id: list.lines[0].pick_line_id.clone(),
        quantity: 1,
        reason: "LAZY".to_owned(),
    };
    let error = crate::rig::ok(rig.picking.clone().report_short_pick(request).await).unwrap_err();
    assert_eq!(error.violations()[0].field, "reason");
    assert_eq!(rig.pick_list(&list.pick_list_id).await, list);
}

/// The service dies while it sources the short again: before anything was asked for, after the
/// report, and after the units were taken.
#[tokio::test]
async fn a_crash_between_any_two_steps_loses_and_doubles_nothing() {
    for silent in [Silent::Shorts, Silent::Locations, Silent::Reservations] {
        let rig = Rig::start().await;
        rig.stock("A", MID, 10);
        let order = rig.order(&[("A", 4)]).await;
        let list = rig.released().await;
        rig.peers.world.lock().unwrap().silent = Some(silent);
        rig.short(&list, 0, 4).await.unwrap();
        wait_for("the step that gets no answer", || async {
            let reached = rig.peers.world.lock().unwrap().reached;
            if reached {
                Ok(())
            } else {
                Err("not reached".to_owned())
            }
        })
        .await;
        let rig = rig.crash().await;
        rig.peers.world.lock().unwrap().silent = None;
        wait_for("the work to be elsewhere", || async {
            // The lease of the dead process has to run out.
            rig.clock.advance(Duration::from_secs(30));
            let orders = rig.of_order(&order.order_id).await;
            if orders.len() == 2 {
                Ok(())
            } else {
                Err(format!("{silent:?}: {orders:?}"))
            }
        })
        .await;
        let found = resolved(&rig, &order.fulfillment_order_id, 1).await;
        assert_eq!((found.len(), found[0].quantity), (1, 4));
        let world = rig.peers.world.lock().unwrap();
        assert_eq!(
            world.free[&("A".to_owned(), MID.to_owned())],
            6,
            "{silent:?}"
        );
        assert_eq!((world.shorts.len(), world.reservations.len()), (1, 1));
    }
}
