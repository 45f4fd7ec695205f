//! Demand that waits gets what becomes free, oldest first.

use std::time::Duration;

use oms_proto::common::v1::FillPolicy;
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::ReservationState as State;
use oms_proto::inventory::v1::inventory_event::Event;
use oms_testkit::wait_for;
use prost::Message;

use crate::rig::{EAST, Rig, WEST, allocate, hold, id, part, rows};

fn waiting(lines: &[(&str, i64)]) -> pb::ReserveRequest {
    pb::ReserveRequest {
        fill_policy: FillPolicy::FillAll.into(),
        ..allocate(lines)
    }
}

#[tokio::test]
async fn a_receipt_serves_the_oldest_first() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 0)]).await;
    let first = rig.reserve(waiting(&[("A", 4)])).await.unwrap();
    rig.clock.advance(Duration::from_secs(1));
    let second = rig.reserve(waiting(&[("A", 4)])).await.unwrap();
    assert_eq!(first.state(), State::Backordered);
    rig.receive("A", WEST, 6).await;
    let first = rig.get(&first.reservation_id).await;
    let second = rig.get(&second.reservation_id).await;
    assert_eq!(rows(&first), [("ALLOCATED", WEST, 4)]);
    assert_eq!(
        rows(&second),
        [("ALLOCATED", WEST, 2), ("BACKORDERED", "", 2)]
    );
    assert_eq!(second.state(), State::Allocated);
    assert_eq!(rig.units("A", WEST).await, (0, 0, 6));
    let told = rig.backorders_allocated(&second.reservation_id).await;
    assert_eq!(told.order_id, second.order_id);
    let lines: Vec<_> = told
        .lines
        .iter()
        .map(|line| (&*line.location_id, line.quantity))
        .collect();
    assert_eq!(lines, [(WEST, 2)]);
    rig.audit().await;
}

#[tokio::test]
async fn whatever_becomes_free_goes_to_those_who_wait() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 3)]).await;
    let holder = rig.reserve(hold(&[("A", 3)])).await.unwrap();
    let waits = rig.reserve(waiting(&[("A", 2)])).await.unwrap();
    rig.release(&holder.reservation_id, vec![part(&holder.lines[0], 1)])
        .await
        .unwrap();
    let now = rig.get(&waits.reservation_id).await;
    assert_eq!(rows(&now), [("ALLOCATED", EAST, 1), ("BACKORDERED", "", 1)]);
    // The rest of the hold runs out.
    rig.clock.advance(Duration::from_mins(16));
    wait_for("the waiting unit to be allocated", || async {
        let now = rig.get(&waits.reservation_id).await;
        if rows(&now) == [("ALLOCATED", EAST, 2)] {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await;
    assert_eq!(rig.units("A", EAST).await, (1, 0, 2));
    rig.audit().await;
}

#[tokio::test]
async fn an_unconfirmed_order_that_waits_gets_a_hold() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 1)]).await;
    let request = pb::ReserveRequest {
        fill_policy: FillPolicy::FillAll.into(),
        ..hold(&[("A", 3)])
    };
    let made = rig.reserve(request).await.unwrap();
    rig.receive("A", EAST, 9).await;
    let now = rig.get(&made.reservation_id).await;
    assert_eq!(rows(&now), [("HELD", EAST, 3)]);
    let confirmed = rig.confirm(&made.reservation_id).await.unwrap();
    assert_eq!(rows(&confirmed), [("ALLOCATED", EAST, 3)]);
    rig.audit().await;
}

#[tokio::test]
async fn a_confirmed_order_goes_on_waiting_and_can_be_released() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 1)]).await;
    let request = pb::ReserveRequest {
        fill_policy: FillPolicy::FillAll.into(),
        ..hold(&[("A", 3)])
    };
    let made = rig.reserve(request).await.unwrap();
    let confirmed = rig.confirm(&made.reservation_id).await.unwrap();
    assert_eq!(
        rows(&confirmed),
        [("ALLOCATED", EAST, 1), ("BACKORDERED", "", 2)]
    );
    let waits = confirmed
        .lines
        .iter()
        .find(|line| line.state() == State::Backordered)
        .unwrap();
    let less = rig
        .release(&made.reservation_id, vec![part(waits, 1)])
        .await
        .unwrap();
    assert_eq!(
        rows(&less),
        [
            ("ALLOCATED", EAST, 1),
            ("BACKORDERED", "", 1),
            ("RELEASED", "", 1)
        ]
    );
    rig.receive("A", EAST, 5).await;
    assert_eq!(rig.units("A", EAST).await, (4, 0, 2));
    rig.audit().await;
}

fn queued(lines: &[(&str, i64)]) -> pb::ReserveRequest {
    pb::ReserveRequest {
        mode: State::Backordered.into(),
        ranked_location_ids: Vec::new(),
        ..hold(lines)
    }
}

#[tokio::test]
async fn demand_that_is_queued_waits_for_stock() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 0)]).await;
    let waits = rig.reserve(queued(&[("A", 2)])).await.unwrap();
    assert_eq!(
        (waits.state(), rows(&waits)),
        (State::Backordered, vec![("BACKORDERED", "", 2)])
    );
    rig.receive("A", EAST, 3).await;
    assert_eq!(rig.units("A", EAST).await, (1, 0, 2));
    rig.audit().await;
}

/// Units may have become free since the caller saw none.
#[tokio::test]
async fn demand_that_is_queued_beside_free_stock_is_served_at_once() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let served = rig.reserve(queued(&[("A", 2)])).await.unwrap();
    assert_eq!(
        (served.state(), rows(&served)),
        (State::Allocated, vec![("ALLOCATED", EAST, 2)])
    );
    assert_eq!(rig.units("A", EAST).await, (3, 0, 2));
    rig.audit().await;
}

#[tokio::test]
async fn a_long_line_is_served_by_tasks() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 0)]).await;
    // More rows than one transaction looks at.
    for _ in 0..5 {
        let lines: Vec<(&str, i64)> = vec![("A", 1); 90];
        rig.reserve(waiting(&lines)).await.unwrap();
        rig.clock.advance(Duration::from_secs(1));
    }
    rig.receive("A", EAST, 440).await;
    wait_for("all stock to be allocated", || async {
        let units = rig.units("A", EAST).await;
        if units == (0, 0, 440) {
            Ok(())
        } else {
            Err(format!("{units:?}"))
        }
    })
    .await;
    rig.audit().await;
}

#[tokio::test]
async fn one_reservation_is_served_from_two_receipts_at_once() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 0), ("B", EAST, 0)]).await;
    for _ in 0..5 {
        rig.reserve(waiting(&[("A", 1), ("B", 1)])).await.unwrap();
    }
    // Different lanes change the same reservations.
    let receipts = (0..5).flat_map(|_| [rig.receive("A", EAST, 1), rig.receive("B", EAST, 1)]);
    futures::future::join_all(receipts).await;
    assert_eq!(rig.units("A", EAST).await, (0, 0, 5));
    assert_eq!(rig.units("B", EAST).await, (0, 0, 5));
    rig.audit().await;
}

impl Rig {
    /// The last BackorderAllocated event of a reservation.
    async fn backorders_allocated(&self, reservation_id: &str) -> pb::BackorderAllocated {
        match self.last_event(reservation_id, "BackorderAllocated").await {
            Event::BackorderAllocated(event) => event,
            other => panic!("{other:?}"),
        }
    }

    /// What the last ReservationChanged event of a reservation told: what was done, and how it is after it.
    pub(crate) async fn last_change(&self, reservation_id: &str) -> (String, pb::Reservation) {
        match self.last_event(reservation_id, "ReservationChanged").await {
            Event::ReservationChanged(event) => (event.action, event.reservation.unwrap()),
            other => panic!("{other:?}"),
        }
    }

    async fn last_event(&self, reservation_id: &str, event_type: &str) -> Event {
        let mut conn = self.db.connect().await;
        let payload: Vec<u8> = sqlx::query_scalar(
            "SELECT payload FROM (SELECT aggregate_id, aggregate_version, event_type, payload FROM outbox
                                  UNION ALL SELECT aggregate_id, aggregate_version, event_type, payload FROM feed) e
             WHERE aggregate_id = $1 AND event_type = $2 ORDER BY aggregate_version DESC LIMIT 1",
        )
        .bind(reservation_id)
        .bind(event_type)
        .fetch_one(&mut conn)
        .await
        .unwrap();
        let event = pb::InventoryEvent::decode(&*payload).unwrap();
        event.event.unwrap()
    }
}

#[tokio::test]
async fn what_was_never_made_is_not_found() {
    let rig = Rig::start().await;
    let missing = rig.confirm(&id()).await;
    assert_eq!(crate::rig::refusal(missing), "NotFound NOT_FOUND");
}
