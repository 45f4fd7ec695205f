//! What follows a closed pack session.

use oms_proto::common::v1::ServiceLevel;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fulfillment;
use oms_proto::fulfillment::v1::{FulfillmentOrderCanceled, FulfillmentOrderState};
use oms_proto::shipping::v1 as pb;
use oms_testkit::wait_for;

use crate::rig::{CARRIER, Rig, types};

#[tokio::test]
async fn packed_goods_get_the_cheapest_label_that_is_fast_enough() {
    let rig = Rig::start().await;
    let mut packed = rig.packed(2);
    packed.service_level = ServiceLevel::TwoDay.into();
    rig.publish_packed(&packed);
    let shipment = rig
        .wait_for(&packed.order_id, pb::ShipmentState::Labeled)
        .await;

    assert_eq!(shipment.pack_session_id, packed.pack_session_id);
    assert_eq!(shipment.fulfillment_order_id, packed.fulfillment_order_id);
    assert_eq!(shipment.carrier_id, CARRIER);
    assert_eq!(shipment.carrier_service, "TWO_DAY");
    assert_eq!(shipment.label_state(), pb::LabelState::Purchased);
    let cost = shipment.cost.clone().unwrap();
    assert_eq!(
        (cost.currency_code.as_str(), cost.minor_units),
        ("USD", 2 * 2_447)
    );
    assert_eq!(shipment.channel_id, "web");
    for (package, sent) in shipment.packages.iter().zip(&packed.packages) {
        assert_eq!(package.package_id, sent.package_id);
        assert_eq!(package.tracking_number.len(), 20);
        assert_eq!(
            package.lines[0].reservation_id,
            sent.lines[0].reservation_id
        );
        assert_eq!(package.lines[0].quantity, 2);
    }
    assert_ne!(
        shipment.packages[0].tracking_number,
        shipment.packages[1].tracking_number
    );

    let events = rig.events(&shipment.shipment_id, 2).await;
    assert_eq!(types(&events), ["ShipmentCreated", "LabelPurchased"]);
    assert!(events.iter().all(|event| event.actor == "user:packer"));
    assert!(
        events
            .iter()
            .all(|event| event.location_id == packed.location_id)
    );
}

#[tokio::test]
async fn a_pack_session_that_is_told_twice_travels_once() {
    let rig = Rig::start().await;
    let packed = rig.packed(1);
    rig.publish_packed(&packed);
    rig.publish_packed(&packed);
    let other = rig.packed(1);
    rig.publish_packed(&other);
    rig.wait_for(&packed.order_id, pb::ShipmentState::Labeled)
        .await;
    rig.wait_for(&other.order_id, pb::ShipmentState::Labeled)
        .await;
    wait_for("both tasks to be done", || async {
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM tasks WHERE state <> 'DONE'")
            .fetch_one(&mut rig.conn().await)
            .await
            .unwrap();
        if open == 0 {
            Ok(())
        } else {
            Err(format!("{open} open"))
        }
    })
    .await;
    assert_eq!(rig.list(&packed.order_id).await.len(), 1);
    let bookings: i64 = sqlx::query_scalar("SELECT count(*) FROM table_rate_bookings")
        .fetch_one(&mut rig.conn().await)
        .await
        .unwrap();
    assert_eq!(bookings, 2);
}

#[tokio::test]
async fn a_way_that_no_service_serves_waits_for_a_person() {
    let rig = Rig::start().await;
    let mut packed = rig.packed(1);
    packed.service_level = ServiceLevel::Overnight.into();
    packed.destination.as_mut().unwrap().country_code = "DE".to_owned();
    rig.publish_packed(&packed);
    let shipment = rig
        .wait_for(&packed.order_id, pb::ShipmentState::Draft)
        .await;
    let why: String = wait_for("the task to be stuck", || async {
        sqlx::query_scalar("SELECT last_error FROM tasks WHERE state = 'STUCK'")
            .fetch_one(&mut rig.conn().await)
            .await
            .map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(why, "no carrier service meets OVERNIGHT");

    let request = pb::BuyLabelRequest {
        request_id: crate::rig::id(),
        shipment_id: shipment.shipment_id.clone(),
        carrier_service: "GROUND".to_owned(),
        ..Default::default()
    };
    let bought = rig
        .shipments
        .clone()
        .buy_label(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(bought.shipment.unwrap().state(), pb::ShipmentState::Labeled);
}

#[tokio::test]
async fn a_fulfillment_order_that_is_canceled_takes_its_shipments_along() {
    let rig = Rig::start().await;
    let packed = rig.packed(1);
    rig.publish_packed(&packed);
    rig.wait_for(&packed.order_id, pb::ShipmentState::Labeled)
        .await;
    let canceled = FulfillmentOrderCanceled {
        fulfillment_order_id: packed.fulfillment_order_id.clone(),
        order_id: packed.order_id.clone(),
        lines: Vec::new(),
        state: FulfillmentOrderState::Canceled.into(),
    };
    let event = Fulfillment::FulfillmentOrderCanceled(canceled);
    rig.publish(
        "FulfillmentOrderCanceled",
        &packed.fulfillment_order_id,
        event,
    );
    let shipment = rig
        .wait_for(&packed.order_id, pb::ShipmentState::Canceled)
        .await;
    let events = rig.events(&shipment.shipment_id, 4).await;
    let expected = [
        "ShipmentCreated",
        "LabelPurchased",
        "ShipmentCanceled",
        "LabelVoided",
    ];
    assert_eq!(types(&events), expected);
}
