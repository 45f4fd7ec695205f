//! Creating, reading and holding fulfillment orders.

use oms_proto::common::v1::ErrorReason;
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::FulfillmentOrderState as State;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fact;

use crate::rig::{EAST, Rig, WEST, allocated, by, id, ok, types};

#[tokio::test]
async fn an_order_becomes_one_fulfillment_order_per_location() {
    let rig = Rig::start().await;
    let request = allocated(&[("A", WEST, 2), ("B", EAST, 1), ("C", WEST, 4)]);
    let orders = rig.create(request.clone()).await.unwrap();
    let places: Vec<&str> = orders
        .iter()
        .map(|order| order.location_id.as_str())
        .collect();
    assert_eq!(places, [EAST, WEST]);
    let west = &orders[1];
    assert_eq!(west.state(), State::Open);
    assert_eq!(west.destination, request.destination);
    assert_eq!(
        (west.priority, west.etag.as_str(), west.channel_id.as_str()),
        (5, "1", "web")
    );
    let line = &west.lines[1];
    assert_eq!(
        (line.sku.as_str(), line.total, line.name.as_str()),
        ("C", 4, "Thing C")
    );
    assert_eq!(line.barcodes, ["0-C", "1-C"]);
    assert_eq!(line.mass_grams, 400);
    assert_eq!(line.reservation_id, request.lines[2].reservation_id);
    assert_eq!(rig.get(&west.fulfillment_order_id).await, *west);

    let events = rig.events(&west.fulfillment_order_id, 1).await;
    let (event, fact) = &events[0];
    assert_eq!(
        (event.actor.as_str(), event.location_id.as_str()),
        ("service:order", WEST)
    );
    let Fact::FulfillmentOrderCreated(created) = fact else {
        panic!("{fact:?}")
    };
    assert_eq!(created.fulfillment_order.as_ref(), Some(west));
}

#[tokio::test]
async fn bad_allocations_are_refused_as_a_whole() {
    let rig = Rig::start().await;
    let mut request = allocated(&[("A", WEST, 2), ("NOPE", WEST, 1)]);
    let error = rig.create(request.clone()).await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::SkuUnknown));
    assert_eq!(error.violations()[0].field, "lines[1].sku");

    request.lines[1] = request.lines[0].clone();
    request.lines[0].quantity = -1;
    request.order_number.clear();
    request.priority = 10;
    request.destination = None;
    let error = rig.create(request.clone()).await.unwrap_err();
    let told: Vec<(&str, &str)> = error
        .violations()
        .iter()
        .map(|one| (one.field.as_str(), one.reason.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("lines[0].quantity", "QUANTITY_INVALID"),
            ("lines[1]", "DUPLICATE"),
            ("order_number", "FIELD_REQUIRED"),
            ("destination", "FIELD_REQUIRED"),
            ("priority", "FIELD_OUT_OF_RANGE"),
        ]
    );
    assert!(rig.of_order(&request.order_id).await.is_empty());
}

#[tokio::test]
async fn pages_hold_everything_once_and_in_order() {
    let rig = Rig::start().await;
    let mut created = Vec::new();
    for _ in 0..5 {
        created.push(rig.order(&[("A", 1)]).await.fulfillment_order_id);
    }
    rig.create(allocated(&[("A", EAST, 1)])).await.unwrap();
    let mut request = pb::ListFulfillmentOrdersRequest {
        location_id: WEST.to_owned(),
        states: vec![State::Open.into(), State::InProgress.into()],
        page_size: 2,
        ..Default::default()
    };
    let mut listed = Vec::new();
    loop {
        let page = rig
            .orders
            .clone()
            .list_fulfillment_orders(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert!(page.fulfillment_orders.len() <= 2);
        listed.extend(
            page.fulfillment_orders
                .into_iter()
                .map(|one| one.fulfillment_order_id),
        );
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    listed.sort();
    created.sort();
    assert_eq!(listed, created);

    request.location_id = EAST.to_owned();
    let scheduled = pb::ListFulfillmentOrdersRequest {
        states: vec![State::Scheduled.into()],
        ..Default::default()
    };
    let none = rig
        .orders
        .clone()
        .list_fulfillment_orders(scheduled)
        .await
        .unwrap();
    assert!(none.into_inner().fulfillment_orders.is_empty());
    let error = ok(rig.orders.clone().list_fulfillment_orders(request).await).unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::PageTokenInvalid));
}

#[tokio::test]
async fn a_hold_keeps_work_off_the_floor_and_scans_away() {
    let rig = Rig::start().await;
    let order = rig.order(&[("A", 1)]).await;
    let list = rig.released().await;
    let hold = |etag: &str| pb::HoldFulfillmentOrderRequest {
        request_id: id(),
        fulfillment_order_id: order.fulfillment_order_id.clone(),
        etag: etag.to_owned(),
        reason: "address in doubt".to_owned(),
    };
    let stale = ok(rig.orders.clone().hold_fulfillment_order(hold("1")).await).unwrap_err();
    assert_eq!(
        (stale.code(), stale.reason()),
        (tonic::Code::Aborted, Some(ErrorReason::EtagMismatch))
    );
    let held = ok(rig.orders.clone().hold_fulfillment_order(hold("2")).await).unwrap();
    assert_eq!(held.fulfillment_order.unwrap().state(), State::OnHold);
    let again = ok(rig.orders.clone().hold_fulfillment_order(hold("")).await).unwrap_err();
    let illegal = again.illegal_transition().unwrap();
    assert_eq!(
        (illegal.state.as_str(), illegal.action.as_str()),
        ("ON_HOLD", "hold")
    );
    assert_eq!(illegal.supported_actions, ["release_hold", "cancel"]);
    let scan = rig.scan(&list.pick_list_id, "0-A", 1).await.unwrap_err();
    assert_eq!(scan.reason(), Some(ErrorReason::IllegalTransition));

    let release = pb::ReleaseFulfillmentOrderHoldRequest {
        request_id: id(),
        fulfillment_order_id: order.fulfillment_order_id.clone(),
        etag: String::new(),
    };
    let request = by("user:eve", release);
    let open = rig
        .orders
        .clone()
        .release_fulfillment_order_hold(request)
        .await
        .unwrap();
    assert_eq!(
        open.into_inner().fulfillment_order.unwrap().state(),
        State::Open
    );
    rig.scan(&list.pick_list_id, "0-A", 1).await.unwrap();
    let events = rig.events(&order.fulfillment_order_id, 6).await;
    let changed = "FulfillmentOrderStateChanged";
    let picked = "FulfillmentOrderPicked";
    let created = "FulfillmentOrderCreated";
    assert_eq!(
        types(&events),
        [created, changed, changed, changed, picked, changed]
    );
    assert_eq!(events[3].0.actor, "user:eve");
}
