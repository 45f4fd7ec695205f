//! Reserved units are taken from another place instead.

use oms_proto::common::v1::FillPolicy;
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::LedgerEntryType as Type;
use oms_proto::inventory::v1::ReservationState as State;
use oms_service::PeerError;

use crate::rig::{EAST, Rig, WEST, allocate, answered, hold, id, part, receipt, refusal, rows};

fn request(of: &pb::Reservation, moves: &[(usize, i64, &str, &str)]) -> pb::MoveReservationRequest {
    pb::MoveReservationRequest {
        request_id: id(),
        reservation_id: of.reservation_id.clone(),
        lines: moves
            .iter()
            .map(
                |(row, quantity, location_id, lot)| pb::MoveReservationLine {
                    units: Some(part(&of.lines[*row], *quantity)),
                    to_location_id: (*location_id).to_owned(),
                    to_lot: (*lot).to_owned(),
                },
            )
            .collect(),
    }
}

impl Rig {
    async fn relocate(
        &self,
        request: pb::MoveReservationRequest,
    ) -> Result<pb::Reservation, PeerError> {
        let answer = self
            .api
            .reservations
            .clone()
            .move_reservation(request)
            .await;
        answered(answer).map(|answer| answer.reservation.unwrap())
    }
}

#[tokio::test]
async fn allocated_units_move_to_another_location() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("A", WEST, 2)]).await;
    let made = rig.reserve(allocate(&[("A", 3)])).await.unwrap();
    let move_two = request(&made, &[(0, 2, WEST, "")]);
    let moved = rig.relocate(move_two.clone()).await.unwrap();
    assert_eq!(
        rows(&moved),
        [("ALLOCATED", EAST, 1), ("ALLOCATED", WEST, 2)]
    );
    assert_eq!(
        (rig.units("A", EAST).await, rig.units("A", WEST).await),
        ((4, 0, 1), (0, 0, 2))
    );
    assert_eq!(
        rig.relocate(move_two).await.unwrap(),
        moved,
        "a repeat does nothing"
    );
    let (action, told) = rig.last_change(&made.reservation_id).await;
    assert_eq!((&*action, told), ("move", moved));
    let listed = pb::ListLedgerRequest {
        sku: "A".to_owned(),
        page_size: 2,
        ..Default::default()
    };
    let entries = rig
        .api
        .stock
        .clone()
        .list_ledger(listed)
        .await
        .unwrap()
        .into_inner()
        .entries;
    let mut entries: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry.r#type(),
                &*entry.location_id,
                entry.quantity,
                &*entry.cause,
            )
        })
        .collect();
    entries.sort_unstable();
    let cause = format!("reservation/{}/2", made.reservation_id);
    assert_eq!(
        entries,
        [
            (Type::Allocate, WEST, 2, &*cause),
            (Type::Deallocate, EAST, 2, &*cause)
        ]
    );
    rig.audit().await;
}

#[tokio::test]
async fn held_units_move_to_another_lot_and_leave_room() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 2)]).await;
    let mut lot = receipt(EAST, &[("A", 2)]);
    lot.lines[0].lot = "L1".to_owned();
    rig.api.stock.clone().receive_stock(lot).await.unwrap();
    let held = rig.reserve(hold(&[("A", 1)])).await.unwrap();
    let moved = rig
        .relocate(request(&held, &[(0, 1, EAST, "L1")]))
        .await
        .unwrap();
    assert_eq!(
        (&*moved.lines[0].lot, moved.expire_time),
        ("L1", held.expire_time)
    );
    // All three others are needed at one place: two are free there, and one more where the hold is.
    rig.reserve(allocate(&[("A", 1)])).await.unwrap();
    let waits = pb::ReserveRequest {
        fill_policy: FillPolicy::FillAll.into(),
        ship_complete: true,
        ..allocate(&[("A", 3)])
    };
    let waits = rig.reserve(waits).await.unwrap();
    assert_eq!(rows(&waits), [("BACKORDERED", "", 3)]);
    let nowhere = rig.relocate(request(&moved, &[(0, 1, WEST, "")])).await;
    assert_eq!(refusal(nowhere), "FailedPrecondition OUT_OF_STOCK");
    rig.receive("A", WEST, 1).await;
    rig.relocate(request(&moved, &[(0, 1, WEST, "")]))
        .await
        .unwrap();
    let now = rig.get(&waits.reservation_id).await;
    let units: i64 = now.lines.iter().map(|line| line.quantity).sum();
    assert_eq!((now.state(), units), (State::Allocated, 3));
    assert!(now.lines.iter().all(|line| line.location_id == EAST));
    rig.audit().await;
}

#[tokio::test]
async fn a_place_that_has_too_little_is_named_and_nothing_moves() {
    let rig = Rig::start().await;
    rig.stock(&[
        ("A", EAST, 5),
        ("B", EAST, 5),
        ("A", WEST, 3),
        ("B", WEST, 9),
    ])
    .await;
    let made = rig
        .reserve(allocate(&[("A", 2), ("A", 2), ("B", 1)]))
        .await
        .unwrap();
    let place = |sku: &str, number: usize| {
        let of_sku = made
            .lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.sku == sku);
        of_sku.map(|(place, _)| place).nth(number).unwrap()
    };
    let all = [
        (place("A", 0), 2, WEST, ""),
        (place("A", 1), 2, WEST, ""),
        (place("B", 0), 1, WEST, ""),
    ];
    let refused = rig.relocate(request(&made, &all)).await.unwrap_err();
    let [shortage] = refused.shortages() else {
        panic!("{:?}", refused.shortages())
    };
    assert_eq!((&*shortage.sku, &*shortage.location_id), ("A", WEST));
    assert_eq!((shortage.requested, shortage.available), (2, 1));
    assert_eq!(rig.get(&made.reservation_id).await, made);
    // Units of one row to two places.
    let row = place("A", 0);
    let over = rig
        .relocate(request(&made, &[(row, 2, WEST, ""), (row, 1, WEST, "")]))
        .await;
    assert_eq!(refusal(over), "FailedPrecondition QUANTITY_EXCEEDS_OPEN");
    let twice = rig
        .relocate(request(&made, &[(row, 1, WEST, ""), (row, 1, WEST, "")]))
        .await
        .unwrap();
    assert_eq!(rig.units("A", WEST).await, (1, 0, 2));
    assert_eq!(twice.etag, "2");
    rig.audit().await;
}

#[tokio::test]
async fn only_what_stands_somewhere_moves() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 1), ("A", WEST, 9)]).await;
    let made = rig.reserve(allocate(&[("A", 1)])).await.unwrap();
    let same = rig
        .relocate(request(&made, &[(0, 1, EAST, "")]))
        .await
        .unwrap_err();
    let fields: Vec<_> = same
        .violations()
        .iter()
        .map(|one| (&*one.field, &*one.reason))
        .collect();
    assert_eq!(fields, [("lines[0].to_location_id", "DUPLICATE")]);
    let nowhere = rig
        .relocate(request(&made, &[(0, 1, "nowhere", "")]))
        .await
        .unwrap_err();
    let fields: Vec<_> = nowhere
        .violations()
        .iter()
        .map(|one| (&*one.field, &*one.reason))
        .collect();
    assert_eq!(fields, [("lines[0].to_location_id", "REFERENCE_UNKNOWN")]);
    let mut stranger = request(&made, &[(0, 1, WEST, "")]);
    stranger.reservation_id = id();
    assert_eq!(refusal(rig.relocate(stranger).await), "NotFound NOT_FOUND");
    let mut other = request(&made, &[(0, 1, WEST, "")]);
    other.lines[0].units.as_mut().unwrap().location_id = WEST.to_owned();
    assert_eq!(
        refusal(rig.relocate(other).await),
        "InvalidArgument REFERENCE_UNKNOWN"
    );
    rig.release(&made.reservation_id, Vec::new()).await.unwrap();
    let late = rig.relocate(request(&made, &[(0, 1, WEST, "")])).await;
    assert_eq!(refusal(late), "FailedPrecondition QUANTITY_EXCEEDS_OPEN");
    rig.audit().await;
}
