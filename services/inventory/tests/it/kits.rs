//! Kits: their components are reserved, whole, and never twice.

use std::collections::BTreeSet;

use futures::future::join_all;
use oms_proto::common::v1::FillPolicy;
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::ReservationState as State;
use oms_testkit::redis_url;

use crate::rig::{EAST, Rig, WEST, allocate, answered, hold, id, item, part, receipt, refusal};

fn kit(sku: &str, parts: &[(&str, i64)]) -> pb::Item {
    pb::Item {
        components: parts
            .iter()
            .map(|(sku, quantity)| pb::ItemComponent {
                sku: (*sku).to_owned(),
                quantity: *quantity,
            })
            .collect(),
        ..item(sku)
    }
}

/// State, SKU, location and units of the rows, sorted.
fn rows(reservation: &pb::Reservation) -> Vec<(State, &str, &str, i64)> {
    let lines = reservation.lines.iter();
    let mut rows: Vec<_> = lines
        .map(|line| (line.state(), &*line.sku, &*line.location_id, line.quantity))
        .collect();
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn a_kit_is_sold_as_its_components() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("B", EAST, 9)]).await;
    let kits = rig
        .upsert(vec![kit("K", &[("B", 2), ("A", 1)])])
        .await
        .unwrap();
    let parts: Vec<_> = kits[0]
        .components
        .iter()
        .map(|part| (&*part.sku, part.quantity))
        .collect();
    assert_eq!(parts, [("A", 1), ("B", 2)]);

    let held = rig.reserve(hold(&[("K", 3)])).await.unwrap();
    assert_eq!(
        rows(&held),
        [(State::Held, "A", EAST, 3), (State::Held, "B", EAST, 6)]
    );
    assert_eq!(rig.units("B", EAST).await, (3, 6, 0));
    let allocated = rig.confirm(&held.reservation_id).await.unwrap();
    let b = allocated.lines.iter().find(|line| line.sku == "B").unwrap();
    let mut unclear = part(b, 2);
    unclear.sku.clear();
    let refused = rig
        .release(&allocated.reservation_id, vec![unclear])
        .await
        .unwrap_err();
    let fields: Vec<_> = refused
        .violations()
        .iter()
        .map(|one| (&*one.field, &*one.reason))
        .collect();
    assert_eq!(fields, [("lines[0].sku", "FIELD_REQUIRED")]);
    let rest = rig
        .release(&allocated.reservation_id, vec![part(b, 2)])
        .await
        .unwrap();
    assert_eq!(
        rows(&rest),
        [
            (State::Allocated, "A", EAST, 3),
            (State::Allocated, "B", EAST, 4),
            (State::Released, "B", EAST, 2)
        ]
    );
    let request = pb::IssueReservationRequest {
        request_id: id(),
        reservation_id: rest.reservation_id.clone(),
        lines: rest
            .lines
            .iter()
            .filter(|line| line.state() == State::Allocated)
            .map(|line| part(line, 3))
            .collect(),
        shipment_id: id(),
    };
    for request_id in [id(), id()] {
        let request = pb::IssueReservationRequest {
            request_id,
            ..request.clone()
        };
        rig.api
            .reservations
            .clone()
            .issue_reservation(request)
            .await
            .unwrap();
    }
    assert_eq!(rig.units("A", EAST).await, (2, 0, 0));
    assert_eq!(rig.units("B", EAST).await, (5, 0, 1));
    rig.audit().await;
}

#[tokio::test]
async fn a_kit_and_a_line_that_share_a_component_do_not_pass_twice() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("B", EAST, 5)]).await;
    rig.upsert(vec![kit("K", &[("A", 1), ("B", 2)]), kit("L", &[("B", 1)])])
        .await
        .unwrap();
    let refused = rig.reserve(hold(&[("K", 2), ("B", 2)])).await.unwrap_err();
    let [shortage] = refused.shortages() else {
        panic!("{:?}", refused.shortages())
    };
    assert_eq!(
        (&*shortage.sku, shortage.requested, shortage.available),
        ("B", 2, 1)
    );
    let refused = rig
        .reserve(hold(&[("B", 1), ("L", 1), ("K", 2)]))
        .await
        .unwrap_err();
    let [shortage] = refused.shortages() else {
        panic!("{:?}", refused.shortages())
    };
    assert_eq!(
        (&*shortage.sku, shortage.requested, shortage.available),
        ("K", 2, 1),
        "told in kits"
    );
    assert_eq!(rig.units("B", EAST).await, (5, 0, 0));
    rig.reserve(hold(&[("K", 2), ("L", 1)])).await.unwrap();
    assert_eq!(rig.units("B", EAST).await, (0, 5, 0));
    rig.audit().await;
}

#[tokio::test]
async fn part_of_a_demand_is_whole_kits() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("B", EAST, 5), ("B", WEST, 9)])
        .await;
    rig.upsert(vec![kit("K", &[("A", 1), ("B", 2)])])
        .await
        .unwrap();
    let some = pb::ReserveRequest {
        fill_policy: FillPolicy::FillAllAvailable.into(),
        ..hold(&[("K", 4)])
    };
    let answer = answered(rig.api.reservations.clone().reserve(some).await).unwrap();
    let held = answer.reservation.unwrap();
    // The fifth B and the third A are not at one place.
    assert_eq!(
        rows(&held),
        [(State::Held, "A", EAST, 2), (State::Held, "B", EAST, 4)]
    );
    assert_eq!(
        (answer.shortages[0].requested, answer.shortages[0].available),
        (4, 2)
    );
    rig.release(&held.reservation_id, Vec::new()).await.unwrap();

    let all = pb::ReserveRequest {
        fill_policy: FillPolicy::FillAll.into(),
        ..allocate(&[("K", 3)])
    };
    let waits = rig.reserve(all).await.unwrap();
    let waiting: Vec<_> = rows(&waits)
        .into_iter()
        .filter(|row| row.0 == State::Backordered)
        .collect();
    assert_eq!(
        waiting,
        [
            (State::Backordered, "A", "", 1),
            (State::Backordered, "B", "", 2)
        ]
    );
    // Each component is given out as it comes.
    rig.receive("A", WEST, 1).await;
    rig.receive("B", EAST, 1).await;
    let now = rig.get(&waits.reservation_id).await;
    let waiting: Vec<_> = rows(&now)
        .into_iter()
        .filter(|row| row.0 == State::Backordered)
        .collect();
    assert_eq!(waiting, []);
    rig.audit().await;
}

#[tokio::test]
async fn what_a_kit_is_made_of_may_change() {
    let rig = Rig::start_with(2, &redis_url().await).await;
    rig.stock(&[("A", EAST, 20), ("B", EAST, 20)]).await;
    rig.upsert(vec![kit("K", &[("A", 1)])]).await.unwrap();
    let first = hold(&[("K", 2)]);
    let made = rig.reserve(first.clone()).await.unwrap();
    let mut other = rig.replicas[1].reservations.clone();
    other.reserve(hold(&[("K", 1)])).await.unwrap();
    // Both replicas know the kit as it was.
    rig.upsert(vec![kit("K", &[("B", 3)])]).await.unwrap();
    for client in [&rig.replicas[0], &rig.replicas[1]] {
        let answer = client
            .reservations
            .clone()
            .reserve(hold(&[("K", 1)]))
            .await
            .unwrap();
        let held = answer.into_inner().reservation.unwrap();
        assert_eq!(rows(&held), [(State::Held, "B", EAST, 3)]);
    }
    // What was reserved before stays what it was, also for who asks again.
    let again = pb::ReserveRequest {
        request_id: id(),
        ..first.clone()
    };
    assert_eq!(rig.reserve(again).await.unwrap(), made);
    assert_eq!(rig.reserve(first).await.unwrap(), made);
    assert_eq!(rows(&made), [(State::Held, "A", EAST, 2)]);
    rig.confirm(&made.reservation_id).await.unwrap();
    // It may become an item of its own, and a kit again.
    rig.items(&["K"]).await;
    rig.receive("K", EAST, 1).await;
    let held = rig.reserve(hold(&[("K", 1)])).await.unwrap();
    assert_eq!(rows(&held), [(State::Held, "K", EAST, 1)]);
    let refused = rig.upsert(vec![kit("K", &[("A", 1)])]).await.unwrap_err();
    assert_eq!(refused.violations()[0].reason, "SKU_HAS_STOCK");
    rig.release(&held.reservation_id, Vec::new()).await.unwrap();
    rig.adjust("K", -1).await.unwrap();
    rig.upsert(vec![kit("K", &[("A", 1)])]).await.unwrap();
    let mut other = rig.replicas[1].reservations.clone();
    let answer = other.reserve(hold(&[("K", 1)])).await.unwrap();
    let held = answer.into_inner().reservation.unwrap();
    assert_eq!(rows(&held), [(State::Held, "A", EAST, 1)]);
    rig.audit().await;
}

#[tokio::test]
async fn a_kit_has_no_stock_of_its_own() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    rig.upsert(vec![kit("K", &[("A", 1)])]).await.unwrap();
    let mut stock = rig.api.stock.clone();
    let request = receipt(EAST, &[("A", 1), ("K", 1)]);
    let refused = answered(stock.receive_stock(request).await).unwrap_err();
    let fields: Vec<_> = refused
        .violations()
        .iter()
        .map(|one| (&*one.field, &*one.reason))
        .collect();
    assert_eq!(fields, [("lines[1].sku", "SKU_IS_KIT")]);
    assert_eq!(
        refusal(rig.adjust("K", 1).await),
        "InvalidArgument SKU_IS_KIT"
    );
    assert_eq!(rig.units("A", EAST).await, (5, 0, 0));
    rig.audit().await;
}

#[tokio::test]
async fn kits_are_one_level_deep_also_when_two_write_at_once() {
    let rig = Rig::start().await;
    rig.items(&["A", "B", "C", "D"]).await;
    for _ in 0..8 {
        // Each is right alone; together they would nest.
        let answers = futures::join!(
            rig.upsert(vec![kit("A", &[("B", 1)])]),
            rig.upsert(vec![kit("B", &[("C", 1)])]),
            rig.upsert(vec![kit("C", &[("A", 1)])]),
        );
        let answers = [answers.0, answers.1, answers.2];
        assert!(answers.iter().any(Result::is_ok));
        for answer in answers {
            let refused = refusal(answer);
            let known = ["OK", "InvalidArgument KIT_NESTED", "Aborted CONFLICT"];
            assert!(known.contains(&&*refused), "{refused}");
        }
        let mut conn = rig.db.connect().await;
        let nested: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM item_components o JOIN item_components i ON i.kit_sku = o.component_sku",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
        assert_eq!(nested, 0);
        rig.items(&["A", "B", "C"]).await;
    }
}

#[tokio::test]
async fn buyers_of_kits_and_of_components_share_the_stock() {
    let rig = Rig::start_with(2, &redis_url().await).await;
    rig.stock(&[("A", EAST, 30), ("B", EAST, 40)]).await;
    rig.upsert(vec![kit("K", &[("A", 1), ("B", 2)]), kit("L", &[("A", 2)])])
        .await
        .unwrap();
    let buyers = (0..90_usize).map(|buyer| {
        let mut client = rig.replicas[buyer % 2].reservations.clone();
        let sku = ["K", "L", "B"][buyer % 3];
        async move { answered(client.reserve(hold(&[(sku, 1)])).await) }
    });
    let answers = join_all(buyers).await;
    let said: BTreeSet<String> = answers
        .iter()
        .map(|answer| match answer {
            Ok(_) => "OK".to_owned(),
            Err(error) => refusal::<()>(Err(error.clone())),
        })
        .collect();
    assert_eq!(
        said,
        [
            "FailedPrecondition OUT_OF_STOCK".to_owned(),
            "OK".to_owned()
        ]
        .into()
    );
    let sold = |sku: &str| -> i64 {
        let lines = answers
            .iter()
            .flatten()
            .flat_map(|answer| answer.reservation.iter());
        lines
            .flat_map(|one| &one.lines)
            .filter(|line| line.sku == sku)
            .map(|line| line.quantity)
            .sum()
    };
    let (a, b) = (rig.units("A", EAST).await, rig.units("B", EAST).await);
    assert_eq!((a.0 + a.1, a.1), (30, sold("A")));
    assert_eq!((b.0 + b.1, b.1), (40, sold("B")));
    assert!(
        a.0 < 2 || b.0 < 2,
        "somebody was sent away from stock: {a:?} {b:?}"
    );
    rig.audit().await;
}

#[tokio::test]
async fn what_components_make_can_be_promised() {
    let rig = Rig::start().await;
    // Apart, components make nothing: B stands alone in the west.
    rig.stock(&[("A", EAST, 5), ("B", EAST, 9), ("B", WEST, 7)])
        .await;
    rig.upsert(vec![kit("K", &[("A", 1), ("B", 2)])])
        .await
        .unwrap();
    let kits = || async {
        let request = pb::GetAvailabilityRequest {
            sku: "K".to_owned(),
            ..Default::default()
        };
        let answer = rig.api.stock.clone().get_availability(request).await;
        let answer = answered(answer).unwrap();
        assert!(answer.levels.is_empty(), "a kit stands on no shelf");
        let total = answer.total.unwrap();
        (total.on_hand, total.available, total.available_to_promise)
    };
    assert_eq!(kits().await, (0, 4, 4));
    rig.reserve(hold(&[("K", 3)])).await.unwrap();
    assert_eq!(kits().await, (0, 1, 1));
    rig.reserve(hold(&[("B", 2)])).await.unwrap();
    assert_eq!(kits().await, (0, 0, 0));
    rig.reserve(hold(&[("K", 1)])).await.unwrap_err();

    let watch = pb::WatchAvailabilityRequest {
        skus: vec!["A".to_owned(), "K".to_owned()],
        ..Default::default()
    };
    let refused = rig.api.stock.clone().watch_availability(watch).await;
    let refused = answered(refused).unwrap_err();
    assert_eq!(refused.violations()[0].reason, "SKU_IS_KIT");
}
