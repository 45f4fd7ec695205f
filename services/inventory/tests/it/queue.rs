//! Who is served first, what ships complete, how much may wait, and who loses stock that is not there.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use oms_core::Clock;
use oms_proto::common::v1::{ErrorReason, FillPolicy};
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::ReservationState as State;
use oms_proto::time_to_proto;
use oms_testkit::{redis_url, wait_for};
use prost_types::Timestamp;

use crate::rig::{
    EAST, Rig, WEST, allocate, answered, hold, id, item, part, refusal, rows, wait_for_queue,
};

fn waiting(lines: &[(&str, i64)]) -> pb::ReserveRequest {
    pb::ReserveRequest {
        fill_policy: FillPolicy::FillAll.into(),
        ..allocate(lines)
    }
}

fn urgent(
    priority: i32,
    promise: Option<Timestamp>,
    request: pb::ReserveRequest,
) -> pb::ReserveRequest {
    pb::ReserveRequest {
        priority: Some(priority),
        promise_time: promise,
        ..request
    }
}

fn complete(policy: FillPolicy, lines: &[(&str, i64)]) -> pb::ReserveRequest {
    pb::ReserveRequest {
        fill_policy: policy.into(),
        ship_complete: true,
        splits_max: 0,
        ..allocate(lines)
    }
}

impl Rig {
    fn in_days(&self, days: u64) -> Timestamp {
        let at = self.clock.now() + Duration::from_secs(days * 86_400);
        time_to_proto(at)
    }

    /// Waits until a reservation has these rows.
    async fn wait_for_rows(&self, reservation_id: &str, expected: &[(&str, &str, i64)]) {
        wait_for("the rows of a reservation", || async {
            let now = self.get(reservation_id).await;
            if rows(&now) == expected {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        })
        .await;
    }
}

#[tokio::test]
async fn class_then_promise_then_age() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 0)]).await;
    let mut queued = Vec::new();
    for (place, priority, promise) in [
        (3, 7, Some(rig.in_days(1))),
        (2, 5, None),
        (1, 5, Some(rig.in_days(9))),
        (4, 7, Some(rig.in_days(1))),
        (0, 5, Some(rig.in_days(2))),
    ] {
        let made = rig
            .reserve(urgent(priority, promise, waiting(&[("A", 2)])))
            .await
            .unwrap();
        assert_eq!((made.priority, made.promise_time), (priority, promise));
        queued.push((place, made.reservation_id));
        rig.clock.advance(Duration::from_secs(1));
    }
    queued.sort_unstable();
    for (_, reservation_id) in queued {
        // Half of it, then the rest: the row splits.
        rig.receive("A", EAST, 1).await;
        let now = rig.get(&reservation_id).await;
        assert_eq!(rows(&now), [("ALLOCATED", EAST, 1), ("BACKORDERED", "", 1)]);
        rig.receive("A", WEST, 1).await;
        let now = rig.get(&reservation_id).await;
        assert_eq!(rows(&now), [("ALLOCATED", EAST, 1), ("ALLOCATED", WEST, 1)]);
    }
    rig.audit().await;
}

#[tokio::test]
async fn an_urgent_order_overtakes_a_long_line() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 0)]).await;
    // More rows than one transaction looks at.
    for _ in 0..3 {
        let lines: Vec<(&str, i64)> = vec![("A", 1); 90];
        rig.reserve(waiting(&lines)).await.unwrap();
    }
    let promised = rig
        .reserve(urgent(5, Some(rig.in_days(1)), waiting(&[("A", 1)])))
        .await
        .unwrap();
    let first = rig
        .reserve(urgent(0, None, waiting(&[("A", 1)])))
        .await
        .unwrap();
    rig.receive("A", EAST, 1).await;
    assert_eq!(
        rows(&rig.get(&first.reservation_id).await),
        [("ALLOCATED", EAST, 1)]
    );
    rig.receive("A", EAST, 1).await;
    assert_eq!(
        rows(&rig.get(&promised.reservation_id).await),
        [("ALLOCATED", EAST, 1)]
    );
    rig.audit().await;
}

#[tokio::test]
async fn an_order_that_ships_complete_is_filled_at_one_place_or_waits_whole() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 3), ("A", WEST, 2), ("B", WEST, 1)])
        .await;
    let both = [("A", 2), ("B", 1)];
    let made = rig
        .reserve(complete(FillPolicy::FillOrKill, &both))
        .await
        .unwrap();
    assert!(made.ship_complete);
    assert_eq!(
        rows(&made),
        [("ALLOCATED", WEST, 1), ("ALLOCATED", WEST, 2)]
    );
    let refused = rig
        .reserve(complete(FillPolicy::FillOrKill, &[("A", 4)]))
        .await;
    assert_eq!(refusal(refused), "FailedPrecondition OUT_OF_STOCK");
    let waits = rig
        .reserve(complete(FillPolicy::FillAll, &[("A", 4)]))
        .await
        .unwrap();
    assert_eq!(rows(&waits), [("BACKORDERED", "", 4)]);
    assert_eq!(rig.units("A", EAST).await, (3, 0, 0));
    rig.receive("A", WEST, 3).await;
    assert_eq!(
        rows(&rig.get(&waits.reservation_id).await),
        [("BACKORDERED", "", 4)]
    );
    // An order behind it takes what it cannot.
    let behind = rig.reserve(waiting(&[("A", 1)])).await.unwrap();
    assert_eq!(rows(&behind), [("ALLOCATED", EAST, 1)]);
    rig.receive("A", WEST, 1).await;
    assert_eq!(
        rows(&rig.get(&waits.reservation_id).await),
        [("ALLOCATED", WEST, 4)]
    );
    rig.audit().await;
}

#[tokio::test]
async fn several_skus_that_ship_complete_wait_for_one_place() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 0), ("B", EAST, 0)]).await;
    let both = [("A", 1), ("B", 2)];
    let waits = rig
        .reserve(complete(FillPolicy::FillAll, &both))
        .await
        .unwrap();
    rig.receive("A", EAST, 1).await;
    rig.receive("B", WEST, 2).await;
    rig.receive("B", EAST, 1).await;
    // A later order for what is at both places: served by the same kind of task, so the first was looked at before.
    let later = rig
        .reserve(complete(
            FillPolicy::FillAll,
            &[("A", 1), ("B", 1), ("B", 1), ("A", 1)],
        ))
        .await
        .unwrap();
    assert_eq!(
        rig.get(&waits.reservation_id).await.state(),
        State::Backordered
    );
    rig.receive("A", WEST, 1).await;
    rig.wait_for_rows(
        &waits.reservation_id,
        &[("ALLOCATED", WEST, 1), ("ALLOCATED", WEST, 2)],
    )
    .await;
    assert_eq!(
        rig.get(&later.reservation_id).await.state(),
        State::Backordered
    );
    assert_eq!(rig.units("A", EAST).await, (1, 0, 0));
    rig.audit().await;
}

fn preorder(sku: &str, most: i64, from: Option<Timestamp>) -> pb::Item {
    pb::Item {
        backorder_max: Some(most),
        available_from_time: from,
        ..item(sku)
    }
}

#[tokio::test]
async fn a_preorder_has_a_cap_and_a_date() {
    let rig = Rig::start().await;
    let from = Some(rig.in_days(30));
    let items = rig.upsert(vec![preorder("A", 5, from)]).await.unwrap();
    assert_eq!(
        (items[0].backorder_max, items[0].available_from_time),
        (Some(5), from)
    );
    let waits = waiting(&[("A", 4)]);
    let mut api = rig.api.reservations.clone();
    let answer = api.reserve(waits.clone()).await.unwrap().into_inner();
    assert_eq!(answer.shortages[0].next_supply_time, from);
    assert_eq!(
        api.reserve(waits).await.unwrap().into_inner(),
        answer,
        "the same again"
    );
    let refused = rig.reserve(waiting(&[("A", 2)])).await.unwrap_err();
    assert_eq!(refused.reason(), Some(ErrorReason::BackorderCapReached));
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    let [shortage] = refused.shortages() else {
        panic!("{:?}", refused.shortages())
    };
    assert_eq!((shortage.requested, shortage.available), (2, 0));
    assert_eq!(shortage.next_supply_time, from);
    let refused = rig.reserve(hold(&[("A", 1)])).await.unwrap_err();
    assert_eq!(refused.shortages()[0].next_supply_time, from);
    // A place in the line that is given back is free again, and so is one that was served.
    let reservation = answer.reservation.unwrap();
    rig.release(
        &reservation.reservation_id,
        vec![part(&reservation.lines[0], 1)],
    )
    .await
    .unwrap();
    rig.receive("A", EAST, 1).await;
    rig.reserve(waiting(&[("A", 3)])).await.unwrap();
    assert_eq!(
        refusal(rig.reserve(waiting(&[("A", 1)])).await),
        "FailedPrecondition BACKORDER_CAP_REACHED"
    );
    rig.audit().await;
}

#[tokio::test]
async fn a_cap_may_be_lowered_below_what_waits() {
    let rig = Rig::start().await;
    rig.items(&["A"]).await;
    let waits = rig.reserve(waiting(&[("A", 4)])).await.unwrap();
    rig.upsert(vec![preorder("A", 0, None)]).await.unwrap();
    assert_eq!(
        rig.get(&waits.reservation_id).await,
        waits,
        "what waits may go on"
    );
    assert_eq!(
        refusal(rig.reserve(waiting(&[("A", 1)])).await),
        "FailedPrecondition BACKORDER_CAP_REACHED"
    );
    rig.receive("A", EAST, 3).await;
    assert_eq!(
        refusal(rig.reserve(waiting(&[("A", 1)])).await),
        "FailedPrecondition BACKORDER_CAP_REACHED"
    );
    rig.audit().await;
    // Without a cap any number may wait.
    rig.items(&["A"]).await;
    rig.reserve(waiting(&[("A", 1_000_000)])).await.unwrap();
    rig.audit().await;
}

#[tokio::test]
async fn the_database_itself_refuses_a_line_that_is_too_long() {
    let rig = Rig::start().await;
    rig.upsert(vec![preorder("A", 3, None)]).await.unwrap();
    rig.reserve(waiting(&[("A", 3)])).await.unwrap();
    let mut conn = rig.db.connect().await;
    let refused = sqlx::query("UPDATE sku_lane SET backordered = backordered + 1 WHERE sku = 'A'")
        .execute(&mut conn)
        .await
        .unwrap_err();
    let constraint = refused.as_database_error().unwrap().constraint();
    assert_eq!(constraint, Some("sku_lane_backordered_within_max"));
}

#[tokio::test]
async fn forty_who_want_to_wait_for_ten() {
    let rig = Rig::start_with(2, &redis_url().await).await;
    rig.upsert(vec![preorder("HOT", 10, Some(rig.in_days(1)))])
        .await
        .unwrap();
    let buyers = (0..40).map(|buyer| {
        let mut client = rig.replicas[buyer % 2].reservations.clone();
        async move { answered(client.reserve(waiting(&[("HOT", 1)])).await) }
    });
    let mut tally: BTreeMap<String, usize> = BTreeMap::new();
    for answer in join_all(buyers).await {
        *tally.entry(refusal(answer)).or_default() += 1;
    }
    let expected = [
        ("FailedPrecondition BACKORDER_CAP_REACHED".to_owned(), 30),
        ("OK".to_owned(), 10),
    ];
    assert_eq!(tally, expected.into());
    rig.audit().await;
}

#[tokio::test]
async fn a_count_that_finds_less_takes_it_from_the_least_urgent() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 7), ("B", EAST, 1)]).await;
    let low = rig
        .reserve(urgent(9, None, allocate(&[("A", 2), ("B", 1)])))
        .await
        .unwrap();
    let held = rig
        .reserve(urgent(5, None, hold(&[("A", 2)])))
        .await
        .unwrap();
    let high = rig
        .reserve(urgent(0, Some(rig.in_days(1)), allocate(&[("A", 2)])))
        .await
        .unwrap();
    // One is free; four are missing: one of the free, two of the least urgent, one of the next.
    let level = rig.adjust("A", -4).await.unwrap();
    assert_eq!((level.available, level.held, level.allocated), (0, 1, 2));
    let low = rig.get(&low.reservation_id).await;
    assert_eq!(rows(&low), [("ALLOCATED", EAST, 1), ("BACKORDERED", "", 2)]);
    let held = rig.get(&held.reservation_id).await;
    assert_eq!(rows(&held), [("BACKORDERED", "", 1), ("HELD", EAST, 1)]);
    assert_eq!(
        rows(&rig.get(&high.reservation_id).await),
        [("ALLOCATED", EAST, 2)]
    );
    let (action, told) = rig.last_change(&low.reservation_id).await;
    assert_eq!((&*action, told), ("displace", low));
    // They wait like everybody else.
    rig.receive("A", WEST, 2).await;
    assert_eq!(
        rows(&rig.get(&held.reservation_id).await),
        [("HELD", EAST, 1), ("HELD", WEST, 1)]
    );
    let refused = rig.adjust("A", -9).await.unwrap_err();
    assert_eq!(refused.reason(), Some(ErrorReason::StockCommitted));
    assert_eq!(refused.metadata("available"), Some("3"));
    rig.audit().await;
}

#[tokio::test]
async fn displaced_units_are_had_elsewhere_where_they_can_be() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 4), ("A", WEST, 3)]).await;
    let made = rig.reserve(allocate(&[("A", 4)])).await.unwrap();
    assert_eq!(rows(&made), [("ALLOCATED", EAST, 4)]);
    rig.adjust("A", -4).await.unwrap();
    let now = rig.get(&made.reservation_id).await;
    assert_eq!(rows(&now), [("ALLOCATED", WEST, 3), ("BACKORDERED", "", 1)]);
    rig.audit().await;
}

#[tokio::test]
async fn displaced_units_wait_beyond_the_cap() {
    let rig = Rig::start().await;
    rig.upsert(vec![preorder("A", 0, None)]).await.unwrap();
    rig.receive("A", EAST, 3).await;
    let made = rig.reserve(allocate(&[("A", 3)])).await.unwrap();
    rig.adjust("A", -3).await.unwrap();
    assert_eq!(
        rows(&rig.get(&made.reservation_id).await),
        [("BACKORDERED", "", 3)]
    );
    rig.audit().await;
    rig.receive("A", EAST, 2).await;
    assert_eq!(
        refusal(rig.reserve(waiting(&[("A", 1)])).await),
        "FailedPrecondition BACKORDER_CAP_REACHED"
    );
    rig.audit().await;
}

#[tokio::test]
async fn a_correction_in_a_batch_finds_whoever_is_left() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 6)]).await;
    let first = rig
        .reserve(urgent(9, None, allocate(&[("A", 3)])))
        .await
        .unwrap();
    let second = rig
        .reserve(urgent(0, None, allocate(&[("A", 3)])))
        .await
        .unwrap();
    // While the lane is blocked, the next commands queue and are decided together.
    let blocked = rig.block("A").await;
    let extra = rig.reserve(waiting(&[("A", 1)]));
    let issue = pb::IssueReservationRequest {
        request_id: id(),
        reservation_id: first.reservation_id.clone(),
        lines: vec![part(&first.lines[0], 3)],
        shipment_id: id(),
    };
    let mut api = rig.api.reservations.clone();
    let (extra, issued, adjusted, ()) = futures::join!(
        extra,
        async {
            rig.wait_for_blocked_batch().await;
            api.issue_reservation(issue).await
        },
        async {
            wait_for_queue(1).await;
            rig.adjust("A", -3).await
        },
        async {
            wait_for_queue(2).await;
            blocked.give_back().await;
        },
    );
    extra.unwrap();
    issued.unwrap();
    // What would have been taken first has left with a shipment in the same batch.
    adjusted.unwrap();
    assert_eq!(
        rows(&rig.get(&second.reservation_id).await),
        [("BACKORDERED", "", 3)]
    );
    assert_eq!(rig.units("A", EAST).await, (0, 0, 0));
    rig.audit().await;
}
