//! Shipments that left.

use oms_proto::fulfillment::v1::FulfillmentOrderState as State;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fact;
use oms_proto::shipping::v1::ShipmentDirection;

use crate::rig::{Rig, WEST, types};

#[tokio::test]
async fn the_last_shipment_closes_the_work() {
    let rig = Rig::start().await;
    let order = rig.picked(&[("A", 3)]).await;
    let order_id = order.fulfillment_order_id.as_str();
    let first = rig.packed(order_id, &[("A", 1)]).await;
    rig.publish_shipped(&Rig::shipment(&order, &first));
    let part = rig
        .until(order_id, "one unit shipped", |one| {
            one.lines[0].shipped == 1
        })
        .await;
    assert_eq!(part.state(), State::InProgress);

    let second = rig.packed(order_id, &[("A", 2)]).await;
    let shipment = Rig::shipment(&order, &second);
    rig.publish_shipped(&shipment);
    let closed = rig
        .until(order_id, "all units shipped", |one| {
            one.lines[0].shipped == 3
        })
        .await;
    assert_eq!(closed.state(), State::Closed);
    assert!(
        closed
            .supported_actions
            .iter()
            .all(|action| !action.allowed)
    );
    let last = ["FulfillmentOrderStateChanged", "FulfillmentOrderClosed"];
    // Created; released; picked, done; and twice: packing, packed, its stage; at last closed.
    let events = rig.events(order_id, 12).await;
    assert!(types(&events).ends_with(&last), "{:?}", types(&events));
    assert_eq!(events.last().unwrap().0.actor, "user:dock");
}

#[tokio::test]
async fn a_shipment_that_is_told_again_counts_once() {
    let rig = Rig::start().await;
    let order = rig.picked(&[("A", 4)]).await;
    let order_id = order.fulfillment_order_id.as_str();
    let session = rig.packed(order_id, &[("A", 2)]).await;
    let shipment = Rig::shipment(&order, &session);
    rig.publish_shipped(&shipment);
    rig.publish_shipped(&shipment);
    let second = rig.packed(order_id, &[("A", 1)]).await;
    rig.publish_shipped(&Rig::shipment(&order, &second));
    rig.until(order_id, "three units shipped", |one| {
        one.lines[0].shipped == 3
    })
    .await;
}

#[tokio::test]
async fn a_shipment_made_by_hand_finds_its_lines() {
    let rig = Rig::start().await;
    let order = rig.picked(&[("A", 2), ("B", 1)]).await;
    let order_id = order.fulfillment_order_id.as_str();
    let session = rig.packed(order_id, &[("A", 2), ("B", 1)]).await;
    let mut shipment = Rig::shipment(&order, &session);
    for line in &mut shipment.packages[0].lines {
        line.fulfillment_order_line_id.clear();
    }
    rig.publish_shipped(&shipment);
    rig.until(order_id, "the work to be closed", |one| {
        one.state() == State::Closed
    })
    .await;
}

#[tokio::test]
async fn nothing_counts_as_shipped_that_was_not_packed() {
    let rig = Rig::start().await;
    let order = rig.picked(&[("A", 3)]).await;
    let session = rig.packed(&order.fulfillment_order_id, &[("A", 1)]).await;
    let mut more = Rig::shipment(&order, &session);
    more.packages[0].lines[0].quantity = 3;
    rig.publish_shipped(&more);
    // A return, and work of another order, pass meanwhile.
    let mut back = Rig::shipment(&order, &session);
    back.direction = ShipmentDirection::Return.into();
    rig.publish_shipped(&back);
    let other = rig.order(&[("B", 1)]).await;
    let list = rig.released().await;
    rig.scan(&list.pick_list_id, "0-B", 1).await.unwrap();
    let session = rig.packed(&other.fulfillment_order_id, &[("B", 1)]).await;
    rig.publish_shipped(&Rig::shipment(&other, &session));
    rig.until(
        &other.fulfillment_order_id,
        "the other work closed",
        |one| one.state() == State::Closed,
    )
    .await;
    assert_eq!(
        rig.get(&order.fulfillment_order_id).await.lines[0].shipped,
        0
    );
    let events = rig.events(&order.fulfillment_order_id, 7).await;
    assert!(
        !events
            .iter()
            .any(|(_, fact)| matches!(fact, Fact::FulfillmentOrderClosed(_)))
    );
    assert_eq!(other.location_id, WEST);
}
