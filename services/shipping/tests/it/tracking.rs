//! What carriers report.

use oms_core::Clock;
use oms_proto::common::v1::ErrorReason;
use oms_proto::shipping::v1 as pb;
use oms_proto::shipping::v1::TrackingStatus as T;
use oms_proto::time_to_proto;
use tonic::Code;

use crate::rig::{CARRIER, Rig, id, ok, types};

#[tokio::test]
async fn the_first_scan_ships_and_a_confirmation_may_follow_once() {
    let rig = Rig::start().await;
    let labeled = rig.labeled(1).await;
    let number = &labeled.packages[0].tracking_number;
    let pre = rig.scan(number, T::PreTransit, 0).await.unwrap();
    assert!(pre.event.unwrap().applied);
    assert_eq!(pre.shipment.unwrap().state(), pb::ShipmentState::Labeled);
    let scanned = rig
        .scan(number, T::InTransit, 1)
        .await
        .unwrap()
        .shipment
        .unwrap();
    assert_eq!(scanned.state(), pb::ShipmentState::Shipped);
    let confirmed = rig.confirm_ship(&labeled.shipment_id).await.unwrap();
    assert_eq!(
        (confirmed.etag, confirmed.ship_time),
        (scanned.etag, scanned.ship_time)
    );
    let error = rig.confirm_ship(&labeled.shipment_id).await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::IllegalTransition));
    let events = rig.events(&labeled.shipment_id, 5).await;
    let expected = [
        "ShipmentCreated",
        "LabelPurchased",
        "PackageTracked",
        "ShipmentShipped",
        "PackageTracked",
    ];
    assert_eq!(types(&events), expected);
}

#[tokio::test]
async fn reports_move_forward_whatever_their_order() {
    let rig = Rig::start().await;
    let labeled = rig.labeled(2).await;
    rig.confirm_ship(&labeled.shipment_id).await.unwrap();
    let (one, two) = (
        &labeled.packages[0].tracking_number,
        &labeled.packages[1].tracking_number,
    );
    for (number, status, minutes, applied, state) in [
        (one, T::OutForDelivery, 20, true, pb::ShipmentState::Shipped),
        (one, T::InTransit, 10, false, pb::ShipmentState::Shipped),
        (one, T::Delivered, 30, true, pb::ShipmentState::Shipped),
        (two, T::Exception, 10, true, pb::ShipmentState::Shipped),
        (two, T::InTransit, 5, false, pb::ShipmentState::Shipped),
        (two, T::InTransit, 15, true, pb::ShipmentState::Shipped),
        (two, T::Delivered, 40, true, pb::ShipmentState::Delivered),
        (
            two,
            T::OutForDelivery,
            35,
            false,
            pb::ShipmentState::Delivered,
        ),
        // The customer refuses one after all: it goes back, and the shipment follows.
        (two, T::ReturnToSender, 50, true, pb::ShipmentState::Shipped),
        (
            two,
            T::Returned,
            60,
            true,
            pb::ShipmentState::DeliveryFailed,
        ),
    ] {
        let answer = rig.scan(number, status, minutes).await.unwrap();
        let event = answer.event.unwrap();
        assert_eq!((event.applied, event.status()), (applied, status));
        assert_eq!(answer.shipment.unwrap().state(), state, "after {status:?}");
    }
    let request = pb::ListTrackingEventsRequest {
        shipment_id: labeled.shipment_id.clone(),
    };
    let listed = ok(rig.tracking.clone().list_tracking_events(request).await)
        .unwrap()
        .events;
    assert_eq!(listed.len(), 10);
    assert!(listed.is_sorted_by_key(|event| event.occur_time.unwrap().seconds));
    // Created, label, shipped, seven that moved something, delivered, failed.
    let events = rig.events(&labeled.shipment_id, 12).await;
    assert_eq!(
        types(&events)[8..],
        [
            "ShipmentDelivered",
            "PackageTracked",
            "PackageTracked",
            "ShipmentDeliveryFailed",
        ]
    );
}

#[tokio::test]
async fn a_report_that_comes_again_is_the_same_report() {
    let rig = Rig::start().await;
    let labeled = rig.labeled(1).await;
    let mut request = pb::RecordTrackingEventRequest {
        request_id: id(),
        carrier_id: CARRIER.to_owned(),
        tracking_number: labeled.packages[0].tracking_number.clone(),
        carrier_event_id: "evt-1".to_owned(),
        status: T::InTransit.into(),
        description: "departed".to_owned(),
        occur_time: Some(time_to_proto(rig.clock.now())),
    };
    let mut client = rig.tracking.clone();
    let first = ok(client.record_tracking_event(request.clone()).await).unwrap();
    // By request id, and by the carrier's id under another request id.
    assert_eq!(
        ok(client.record_tracking_event(request.clone()).await).unwrap(),
        first
    );
    request.request_id = id();
    assert_eq!(
        ok(client.record_tracking_event(request.clone()).await).unwrap(),
        first
    );
    request.request_id = id();
    request.status = T::Delivered.into();
    assert_eq!(
        ok(client.record_tracking_event(request.clone()).await).unwrap(),
        first
    );
    // Without an id of the carrier the rest decides.
    request.carrier_event_id.clear();
    request.request_id = id();
    let delivered = ok(client.record_tracking_event(request.clone()).await).unwrap();
    assert!(delivered.event.as_ref().unwrap().applied);
    request.request_id = id();
    assert_eq!(
        ok(client.record_tracking_event(request.clone()).await).unwrap(),
        delivered
    );
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM tracking_events")
        .fetch_one(&mut rig.conn().await)
        .await
        .unwrap();
    assert_eq!(rows, 2);

    request.request_id = id();
    request.tracking_number = "OM000000000000000000".to_owned();
    let error = ok(client.record_tracking_event(request).await).unwrap_err();
    assert_eq!(
        (error.code(), error.reason()),
        (Code::NotFound, Some(ErrorReason::NotFound))
    );
}
