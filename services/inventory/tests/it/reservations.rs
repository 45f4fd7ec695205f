//! One reservation after the other: what each command does, and what it refuses.

use std::time::Duration;

use oms_proto::common::v1::{ErrorReason, FillPolicy};
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::ReservationState as State;
use oms_testkit::wait_for;

use crate::rig::{EAST, Rig, WEST, allocate, answered, hold, id, part, refusal, rows};

#[tokio::test]
async fn from_held_to_shipped() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let held = rig.reserve(hold(&[("A", 3)])).await.unwrap();
    assert_eq!(rows(&held), [("HELD", EAST, 3)]);
    assert_eq!((held.state(), &*held.etag), (State::Held, "1"));
    assert!(held.expire_time.is_some());
    assert_eq!(rig.units("A", EAST).await, (2, 3, 0));
    let allocated = rig.confirm(&held.reservation_id).await.unwrap();
    assert_eq!(rows(&allocated), [("ALLOCATED", EAST, 3)]);
    assert_eq!(allocated.expire_time, None);
    assert_eq!(rig.confirm(&held.reservation_id).await.unwrap(), allocated);
    let shipment = id();
    let first = rig.issue(&allocated, 2, &shipment).await.unwrap();
    assert_eq!(
        rows(&first),
        [("ALLOCATED", EAST, 1), ("CONSUMED", EAST, 2)]
    );
    assert_eq!(
        rig.issue(&allocated, 2, &shipment).await.unwrap(),
        first,
        "a shipment counts once"
    );
    let rest = rig.issue(&allocated, 1, &id()).await.unwrap();
    assert_eq!(
        (rest.state(), rows(&rest)),
        (State::Consumed, vec![("CONSUMED", EAST, 3)])
    );
    assert_eq!(rig.get(&held.reservation_id).await, rest);
    assert_eq!(rig.units("A", EAST).await, (2, 0, 0));
    rig.audit().await;
}

#[tokio::test]
async fn two_lines_of_one_sku_do_not_pass_twice() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let refused = rig.reserve(hold(&[("A", 3), ("A", 3)])).await.unwrap_err();
    assert_eq!(refused.reason(), Some(ErrorReason::OutOfStock));
    let [shortage] = refused.shortages() else {
        panic!("{:?}", refused.shortages())
    };
    assert_eq!((shortage.requested, shortage.available), (3, 2));
    assert_eq!(rig.units("A", EAST).await, (5, 0, 0));
    assert!(rig.reserve(hold(&[("A", 3), ("A", 2)])).await.is_ok());
    rig.audit().await;
}

#[tokio::test]
async fn four_of_three_and_five_takes_four() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 3), ("A", WEST, 5)]).await;
    let mut request = hold(&[("A", 4)]);
    request.single_node_within_rank = 0;
    let held = rig.reserve(request).await.unwrap();
    assert_eq!(rows(&held), [("HELD", WEST, 4)]);
    let split = rig.reserve(hold(&[("A", 4)])).await.unwrap();
    assert_eq!(rows(&split), [("HELD", EAST, 3), ("HELD", WEST, 1)]);
    assert_eq!(
        refusal(rig.reserve(hold(&[("A", 1)])).await),
        "FailedPrecondition OUT_OF_STOCK"
    );
    rig.audit().await;
}

#[tokio::test]
async fn more_than_the_whole_stock_takes_nothing() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("B", EAST, 5)]).await;
    let request = hold(&[("B", 1), ("A", 1_000_000_000)]);
    let refused = rig.reserve(request.clone()).await.unwrap_err();
    let [shortage] = refused.shortages() else {
        panic!("{:?}", refused.shortages())
    };
    assert_eq!(shortage.order_line_id, request.lines[1].order_line_id);
    assert_eq!((shortage.requested, shortage.available), (1_000_000_000, 5));
    assert_eq!(rig.units("B", EAST).await, (5, 0, 0));
    // Nothing was recorded: the same call may succeed later.
    rig.receive("A", EAST, 1_000_000_000).await;
    assert!(rig.reserve(request).await.is_ok());
    rig.audit().await;
}

#[tokio::test]
async fn fill_policies() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 3), ("B", EAST, 0)]).await;
    let with = |lines: &[(&str, i64)], policy: FillPolicy| pb::ReserveRequest {
        fill_policy: policy.into(),
        ..hold(lines)
    };
    let some = with(&[("A", 5), ("B", 1)], FillPolicy::FillAllAvailable);
    let mut api = rig.api.reservations.clone();
    let answer = api.reserve(some.clone()).await.unwrap().into_inner();
    assert_eq!(
        rows(answer.reservation.as_ref().unwrap()),
        [("HELD", EAST, 3)]
    );
    assert_eq!(answer.shortages.len(), 2);
    let repeat = pb::ReserveRequest {
        request_id: id(),
        ..some.clone()
    };
    for again in [some, repeat] {
        assert_eq!(api.reserve(again).await.unwrap().into_inner(), answer);
    }
    rig.release(&answer.reservation.unwrap().reservation_id, Vec::new())
        .await
        .unwrap();

    let all = rig
        .reserve(with(&[("A", 5)], FillPolicy::FillAll))
        .await
        .unwrap();
    assert_eq!(rows(&all), [("BACKORDERED", "", 2), ("HELD", EAST, 3)]);
    // Of the rest nothing is there at all.
    let none = with(&[("A", 5)], FillPolicy::FillAllAvailable);
    assert_eq!(
        refusal(rig.reserve(none).await),
        "FailedPrecondition OUT_OF_STOCK"
    );
    let queued = rig
        .reserve(with(&[("A", 5)], FillPolicy::FillAll))
        .await
        .unwrap();
    assert_eq!(
        (queued.state(), queued.expire_time),
        (State::Backordered, None)
    );
    rig.audit().await;
}

#[tokio::test]
async fn a_line_comes_from_its_eligible_locations() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("A", WEST, 1)]).await;
    let mut request = hold(&[("A", 2)]);
    request.lines[0].eligible_location_ids = vec![WEST.to_owned()];
    assert_eq!(
        refusal(rig.reserve(request).await),
        "FailedPrecondition OUT_OF_STOCK"
    );
    let mut request = hold(&[("A", 1), ("A", 3)]);
    request.lines[0].eligible_location_ids = vec![WEST.to_owned()];
    let held = rig.reserve(request).await.unwrap();
    assert_eq!(rows(&held), [("HELD", EAST, 3), ("HELD", WEST, 1)]);
    rig.audit().await;
}

#[tokio::test]
async fn a_release_gives_back_once() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let held = rig.reserve(hold(&[("A", 4)])).await.unwrap();
    let id = &held.reservation_id;
    let rest = rig
        .release(id, vec![part(&held.lines[0], 1)])
        .await
        .unwrap();
    assert_eq!(rows(&rest), [("HELD", EAST, 3), ("RELEASED", EAST, 1)]);
    let over = rig.release(id, vec![part(&held.lines[0], 4)]).await;
    assert_eq!(refusal(over), "FailedPrecondition QUANTITY_EXCEEDS_OPEN");
    let released = rig.release(id, Vec::new()).await.unwrap();
    assert_eq!(
        (released.state(), rows(&released)),
        (State::Released, vec![("RELEASED", EAST, 4)])
    );
    assert_eq!(rig.release(id, Vec::new()).await.unwrap(), released);
    assert_eq!(rig.units("A", EAST).await, (5, 0, 0));
    assert_eq!(
        refusal(rig.confirm(id).await),
        "FailedPrecondition RESERVATION_EXPIRED"
    );
    rig.audit().await;
}

#[tokio::test]
async fn a_release_that_overtakes_the_reserve_leaves_nothing() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let late = hold(&[("A", 4)]);
    let request = pb::ReleaseReservationRequest {
        request_id: id(),
        reservation_id: late.reservation_id.clone(),
        lines: Vec::new(),
        order_id: late.order_id.clone(),
    };
    let answer = rig
        .api
        .reservations
        .clone()
        .release_reservation(request)
        .await
        .unwrap();
    let tombstone = answer.into_inner().reservation.unwrap();
    assert_eq!(
        (tombstone.state(), &tombstone.order_id),
        (State::Released, &late.order_id)
    );
    let reserved = rig.reserve(late).await.unwrap();
    assert_eq!(reserved, tombstone);
    assert_eq!(rig.units("A", EAST).await, (5, 0, 0));
    rig.audit().await;
}

#[tokio::test]
async fn a_reservation_id_is_one_reservation() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("B", EAST, 5)]).await;
    let first = hold(&[("A", 2)]);
    let held = rig.reserve(first.clone()).await.unwrap();
    let again = pb::ReserveRequest {
        request_id: id(),
        ..first.clone()
    };
    assert_eq!(rig.reserve(again.clone()).await.unwrap(), held);
    let confirmed = rig.confirm(&held.reservation_id).await.unwrap();
    let again = pb::ReserveRequest {
        request_id: id(),
        ..again
    };
    assert_eq!(rig.reserve(again).await.unwrap(), confirmed);
    for lines in [&[("A", 3)][..], &[("B", 1)]] {
        let reservation_id = held.reservation_id.clone();
        let other = pb::ReserveRequest {
            reservation_id,
            ..hold(lines)
        };
        assert_eq!(
            refusal(rig.reserve(other).await),
            "AlreadyExists ALREADY_EXISTS"
        );
    }
    assert_eq!(rig.units("A", EAST).await, (3, 0, 2));
    rig.audit().await;
}

#[tokio::test]
async fn what_runs_out_is_given_back() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let held = rig.reserve(hold(&[("A", 2)])).await.unwrap();
    let kept = rig.reserve(hold(&[("A", 1)])).await.unwrap();
    rig.confirm(&kept.reservation_id).await.unwrap();
    rig.clock.advance(Duration::from_mins(15));
    wait_for("the hold to expire", || async {
        let now = rig.get(&held.reservation_id).await;
        if now.state() == State::Expired {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await;
    assert_eq!(
        refusal(rig.confirm(&held.reservation_id).await),
        "FailedPrecondition RESERVATION_EXPIRED"
    );
    assert_eq!(
        rig.get(&kept.reservation_id).await.state(),
        State::Allocated
    );
    assert_eq!(rig.units("A", EAST).await, (4, 0, 1));
    rig.audit().await;
}

#[tokio::test]
async fn a_hold_is_extended_up_to_two_hours() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let held = rig.reserve(hold(&[("A", 2)])).await.unwrap();
    let first = held.expire_time.unwrap().seconds;
    let hour = Duration::from_hours(1);
    let extended = rig.extend(&held.reservation_id, hour).await.unwrap();
    assert_eq!(extended.expire_time.unwrap().seconds - first, 45 * 60);
    for _ in 0..2 {
        rig.clock.advance(Duration::from_mins(50));
        rig.extend(&held.reservation_id, hour).await.unwrap();
    }
    let longest = rig
        .get(&held.reservation_id)
        .await
        .expire_time
        .unwrap()
        .seconds;
    assert_eq!(longest - first, 105 * 60, "two hours after it was made");
    rig.confirm(&held.reservation_id).await.unwrap();
    let late = rig.extend(&held.reservation_id, hour).await.unwrap_err();
    assert_eq!(late.reason(), Some(ErrorReason::IllegalTransition));
    let illegal = late.illegal_transition().unwrap();
    assert_eq!(
        (&*illegal.aggregate, &*illegal.state),
        ("reservation", "ALLOCATED")
    );
    assert_eq!(
        illegal.supported_actions,
        ["release", "report_short", "issue", "move"]
    );
    assert_eq!(refusal(rig.extend(&id(), hour).await), "NotFound NOT_FOUND");
    rig.audit().await;
}

#[tokio::test]
async fn short_units_wait_for_a_count() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let allocated = rig.reserve(allocate(&[("A", 3)])).await.unwrap();
    let after = rig.report_short(&allocated, 2).await.unwrap();
    assert_eq!(
        rows(&after),
        [("ALLOCATED", EAST, 1), ("RELEASED", EAST, 2)]
    );
    let level = rig.level("A", EAST).await;
    assert_eq!(
        (level.available, level.allocated, level.count_pending),
        (2, 1, 2)
    );
    assert_eq!(level.on_hand, 5);
    let over = rig.report_short(&allocated, 2).await;
    assert_eq!(refusal(over), "FailedPrecondition QUANTITY_EXCEEDS_OPEN");
    let held = rig.reserve(hold(&[("A", 1)])).await.unwrap();
    assert_eq!(
        refusal(rig.report_short(&held, 1).await),
        "FailedPrecondition ILLEGAL_TRANSITION"
    );
    let mut stranger = allocated.clone();
    stranger.lines[0].order_line_id = id();
    assert_eq!(
        refusal(rig.report_short(&stranger, 1).await),
        "InvalidArgument REFERENCE_UNKNOWN"
    );
    rig.audit().await;
}

#[tokio::test]
async fn an_order_lists_its_reservations() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let first = rig.reserve(hold(&[("A", 1)])).await.unwrap();
    rig.clock.advance(Duration::from_secs(1));
    let mut second = hold(&[("A", 1)]);
    second.order_id.clone_from(&first.order_id);
    let second = rig.reserve(second).await.unwrap();
    rig.reserve(hold(&[("A", 1)])).await.unwrap();
    let request = pb::ListReservationsRequest {
        order_id: first.order_id.clone(),
    };
    let listed = rig
        .api
        .reservations
        .clone()
        .list_reservations(request)
        .await
        .unwrap();
    assert_eq!(listed.into_inner().reservations, [first, second]);
}

impl Rig {
    async fn extend(
        &self,
        reservation_id: &str,
        time_to_live: Duration,
    ) -> Result<pb::Reservation, oms_service::PeerError> {
        let request = pb::ExtendReservationRequest {
            request_id: id(),
            reservation_id: reservation_id.to_owned(),
            time_to_live: Some(time_to_live.try_into().unwrap()),
        };
        let answer = self
            .api
            .reservations
            .clone()
            .extend_reservation(request)
            .await;
        answered(answer).map(|answer| answer.reservation.unwrap())
    }

    /// Units of the first row were not found.
    pub(crate) async fn report_short(
        &self,
        of: &pb::Reservation,
        quantity: i64,
    ) -> Result<pb::Reservation, oms_service::PeerError> {
        let request = pb::ReportShortRequest {
            request_id: id(),
            reservation_id: of.reservation_id.clone(),
            line: Some(part(&of.lines[0], quantity)),
            reason: "NOT_FOUND".to_owned(),
        };
        let answer = self.api.reservations.clone().report_short(request).await;
        answered(answer).map(|answer| answer.reservation.unwrap())
    }

    /// Units of the first row left.
    async fn issue(
        &self,
        of: &pb::Reservation,
        quantity: i64,
        shipment_id: &str,
    ) -> Result<pb::Reservation, oms_service::PeerError> {
        let request = pb::IssueReservationRequest {
            request_id: id(),
            reservation_id: of.reservation_id.clone(),
            lines: vec![part(&of.lines[0], quantity)],
            shipment_id: shipment_id.to_owned(),
        };
        let answer = self
            .api
            .reservations
            .clone()
            .issue_reservation(request)
            .await;
        answered(answer).map(|answer| answer.reservation.unwrap())
    }
}
