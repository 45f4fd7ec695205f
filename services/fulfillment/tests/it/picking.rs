//! Waves, pick lists and scans.

use oms_proto::common::v1::ErrorReason;
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fact;
use oms_proto::fulfillment::v1::{
    FloorStage, FulfillmentOrderState, PickLineState, PickListState, PickMethod,
};

use crate::rig::{EAST, Rig, WEST, allocated, by, code, id, ok};

#[tokio::test]
async fn picking_moves_the_work_along() {
    let rig = Rig::start().await;
    let order = rig.order(&[("B", 1), ("A", 3)]).await;
    let list = rig.released().await;
    assert_eq!(
        rig.get(&order.fulfillment_order_id).await.floor_stage(),
        FloorStage::Released
    );
    let walk: Vec<&str> = list.lines.iter().map(|line| line.sku.as_str()).collect();
    assert_eq!(walk, ["A", "B"]);

    let list = rig.scan(&list.pick_list_id, "1-A", 2).await.unwrap();
    assert_eq!(list.state(), PickListState::InProgress);
    assert_eq!(list.assignee, "user:ann");
    assert_eq!(
        (list.lines[0].picked, list.lines[0].picked_by.as_str()),
        (2, "user:ann")
    );
    let at_work = rig.get(&order.fulfillment_order_id).await;
    assert_eq!(at_work.state(), FulfillmentOrderState::InProgress);
    assert_eq!(at_work.floor_stage(), FloorStage::Picking);

    rig.scan(&list.pick_list_id, "0-A", 1).await.unwrap();
    let list = rig.scan(&list.pick_list_id, "0-B", 1).await.unwrap();
    assert_eq!(list.state(), PickListState::Completed);
    assert!(
        list.lines
            .iter()
            .all(|line| line.state() == PickLineState::Picked)
    );
    assert_eq!(
        rig.get(&order.fulfillment_order_id).await.floor_stage(),
        FloorStage::Picked
    );

    let events = rig.events(&order.fulfillment_order_id, 7).await;
    let Fact::FulfillmentOrderPicked(picked) = &events[2].1 else {
        panic!("{:?}", events[2])
    };
    assert_eq!(events[2].0.actor, "user:ann");
    let line = &picked.lines[0];
    assert_eq!((line.quantity, line.picked, line.packed), (2, 2, 0));
}

#[tokio::test]
async fn a_wrong_barcode_and_too_many_units_are_refused() {
    let rig = Rig::start().await;
    rig.order(&[("A", 2), ("B", 1)]).await;
    let list = rig.released().await;
    let wrong = rig.scan(&list.pick_list_id, "0-C", 1).await.unwrap_err();
    assert_eq!(wrong.code(), tonic::Code::FailedPrecondition);
    assert_eq!(wrong.reason(), Some(ErrorReason::BarcodeMismatch));
    assert_eq!(wrong.metadata("expected_sku"), Some("A"));

    let named = pb::ScanPickRequest {
        request_id: id(),
        pick_list_id: list.pick_list_id.clone(),
        pick_line_id: list.lines[0].pick_line_id.clone(),
        barcode: code("B"),
        quantity: 1,
    };
    let wrong = ok(rig.picking.clone().scan_pick(named.clone()).await).unwrap_err();
    assert_eq!(wrong.reason(), Some(ErrorReason::BarcodeMismatch));
    let elsewhere = pb::ScanPickRequest {
        pick_line_id: id(),
        ..named
    };
    let unknown = ok(rig.picking.clone().scan_pick(elsewhere).await).unwrap_err();
    assert_eq!(unknown.reason(), Some(ErrorReason::ReferenceUnknown));

    let over = rig
        .scan(&list.pick_list_id, &code("A"), 3)
        .await
        .unwrap_err();
    assert_eq!(over.reason(), Some(ErrorReason::QuantityExceedsOpen));
    assert_eq!(
        (over.metadata("open"), over.metadata("requested")),
        (Some("2"), Some("3"))
    );
    assert_eq!(rig.pick_list(&list.pick_list_id).await, list);
}

#[tokio::test]
async fn two_pickers_cannot_take_the_same_unit() {
    let rig = Rig::start().await;
    let order = rig.order(&[("A", 3)]).await;
    let list = rig.released().await;
    let code = code("A");
    let scans = (0..8).map(|_| rig.scan(&list.pick_list_id, &code, 1));
    let mut picked = 0;
    for scan in futures(scans).await {
        match scan {
            Ok(_) => picked += 1,
            Err(error) => assert_eq!(error.reason(), Some(ErrorReason::QuantityExceedsOpen)),
        }
    }
    assert_eq!(picked, 3);
    assert_eq!(
        rig.get(&order.fulfillment_order_id).await.lines[0].picked,
        3
    );
}

#[tokio::test]
async fn a_fulfillment_order_is_in_one_wave() {
    let rig = Rig::start().await;
    for _ in 0..10 {
        rig.order(&[("A", 1)]).await;
    }
    let waves = (0..4).map(|_| async {
        let request = pb::CreateWaveRequest {
            request_id: id(),
            location_id: WEST.to_owned(),
            orders_max: 3,
            ..Default::default()
        };
        rig.waves
            .clone()
            .create_wave(request)
            .await
            .unwrap()
            .into_inner()
            .wave
            .unwrap()
    });
    let mut released: Vec<String> = futures(waves)
        .await
        .into_iter()
        .flat_map(|wave| wave.fulfillment_order_ids)
        .collect();
    assert_eq!(released.len(), 10);
    released.sort();
    released.dedup();
    assert_eq!(released.len(), 10);
    let nothing = rig.wave(WEST, PickMethod::Single).await;
    assert_eq!(nothing.wave_id, "");
}

#[tokio::test]
async fn the_most_urgent_goes_first() {
    let rig = Rig::start().await;
    let mut ids = Vec::new();
    for priority in [5, 0, 9] {
        let mut request = allocated(&[("A", WEST, 1)]);
        request.priority = priority;
        ids.push(
            rig.create(request)
                .await
                .unwrap()
                .remove(0)
                .fulfillment_order_id,
        );
    }
    let mut released = Vec::new();
    for _ in 0..3 {
        let request = pb::CreateWaveRequest {
            request_id: id(),
            location_id: WEST.to_owned(),
            orders_max: 1,
            ..Default::default()
        };
        let wave = rig
            .waves
            .clone()
            .create_wave(request)
            .await
            .unwrap()
            .into_inner()
            .wave
            .unwrap();
        released.extend(wave.fulfillment_order_ids);
    }
    assert_eq!(released, [ids[1].clone(), ids[0].clone(), ids[2].clone()]);
}

#[tokio::test]
async fn a_batch_is_walked_once_for_many_orders() {
    let rig = Rig::start().await;
    for _ in 0..13 {
        rig.order(&[("B", 1), ("A", 1)]).await;
    }
    let wave = rig.wave(WEST, PickMethod::Batch).await;
    assert_eq!(
        (wave.fulfillment_order_ids.len(), wave.pick_list_ids.len()),
        (13, 2)
    );
    let list = rig.pick_list(&wave.pick_list_ids[0]).await;
    assert_eq!(list.lines.len(), 24);
    assert!(list.lines.is_sorted_by_key(|line| line.sku.clone()));
    // The barcode finds the next open line of its item.
    let list = rig.scan(&list.pick_list_id, &code("A"), 1).await.unwrap();
    let list = rig.scan(&list.pick_list_id, &code("A"), 1).await.unwrap();
    assert_eq!(
        (
            list.lines[0].picked,
            list.lines[1].picked,
            list.lines[2].picked
        ),
        (1, 1, 0)
    );

    let get = pb::GetWaveRequest {
        wave_id: wave.wave_id.clone(),
    };
    let again = rig
        .waves
        .clone()
        .get_wave(get)
        .await
        .unwrap()
        .into_inner()
        .wave
        .unwrap();
    assert_eq!(again, wave);
}

#[tokio::test]
async fn a_wave_of_named_orders_checks_them() {
    let rig = Rig::start().await;
    let west = rig.order(&[("A", 1)]).await;
    let east = rig
        .create(allocated(&[("A", EAST, 1)]))
        .await
        .unwrap()
        .remove(0);
    let wave = |ids: &[&String]| pb::CreateWaveRequest {
        request_id: id(),
        location_id: WEST.to_owned(),
        fulfillment_order_ids: ids.iter().map(|id| (*id).clone()).collect(),
        ..Default::default()
    };
    let mixed = wave(&[&west.fulfillment_order_id, &east.fulfillment_order_id]);
    let error = ok(rig.waves.clone().create_wave(mixed).await).unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::ReferenceUnknown));
    assert_eq!(error.violations()[0].field, "fulfillment_order_ids[1]");
    let twice = wave(&[&west.fulfillment_order_id, &west.fulfillment_order_id]);
    let error = ok(rig.waves.clone().create_wave(twice).await).unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::Duplicate));

    let one = wave(&[&west.fulfillment_order_id]);
    ok(rig.waves.clone().create_wave(one).await).unwrap();
    let again = wave(&[&west.fulfillment_order_id]);
    let error = ok(rig.waves.clone().create_wave(again).await).unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::IllegalTransition));
}

#[tokio::test]
async fn pick_lists_are_given_to_workers_and_listed() {
    let rig = Rig::start().await;
    rig.order(&[("A", 1)]).await;
    let list = rig.released().await;
    let assign = |etag: &str, assignee: &str| pb::AssignPickListRequest {
        request_id: id(),
        pick_list_id: list.pick_list_id.clone(),
        etag: etag.to_owned(),
        assignee: assignee.to_owned(),
    };
    let mine = rig
        .picking
        .clone()
        .assign_pick_list(by("user:ann", assign("1", "")))
        .await;
    let mine = ok(mine).unwrap().pick_list.unwrap();
    assert_eq!(
        (mine.state(), mine.assignee.as_str()),
        (PickListState::Assigned, "user:ann")
    );
    let stale = ok(rig
        .picking
        .clone()
        .assign_pick_list(assign("1", "user:bob"))
        .await)
    .unwrap_err();
    assert_eq!(stale.reason(), Some(ErrorReason::EtagMismatch));
    let nobody = ok(rig
        .picking
        .clone()
        .assign_pick_list(assign("", "bob"))
        .await)
    .unwrap_err();
    assert_eq!(nobody.violations()[0].field, "assignee");

    let find = |state: PickListState| {
        let request = pb::ListPickListsRequest {
            location_id: WEST.to_owned(),
            states: vec![state.into()],
            ..Default::default()
        };
        let mut client = rig.picking.clone();
        async move {
            client
                .list_pick_lists(request)
                .await
                .unwrap()
                .into_inner()
                .pick_lists
        }
    };
    assert_eq!(find(PickListState::Assigned).await, [mine]);
    rig.scan(&list.pick_list_id, &code("A"), 1).await.unwrap();
    assert!(find(PickListState::Assigned).await.is_empty());
    assert_eq!(find(PickListState::Completed).await.len(), 1);
    let late = ok(rig.picking.clone().assign_pick_list(assign("", "")).await).unwrap_err();
    assert_eq!(late.reason(), Some(ErrorReason::IllegalTransition));
}

/// Runs all at once.
async fn futures<T: Future>(all: impl Iterator<Item = T>) -> Vec<T::Output> {
    futures::future::join_all(all).await
}
