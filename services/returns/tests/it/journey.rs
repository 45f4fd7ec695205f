//! A return from the request to its end.

use oms_proto::order::v1::Order;
use oms_proto::returns::v1 as pb;
use oms_proto::returns::v1::returns_event::Event as Fact;
use oms_proto::returns::v1::{Disposition, RefundTiming, ReturnCondition, ReturnState};
use oms_proto::shipping::v1::{ShipmentDirection, TrackingStatus};

use crate::rig::{LOCATION, Rig, told, usd};

#[tokio::test]
async fn from_request_to_closed() {
    let rig = Rig::start().await;
    let order = rig.shipped(&[3, 1]);
    let ret = rig
        .request(&order, &[3, 1], RefundTiming::OnInspection)
        .await
        .unwrap();
    it_knows_its_order(&ret, &order);

    let ret = rig.authorize(&ret).await.unwrap();
    assert_eq!(ret.state(), ReturnState::Authorized);
    let ret = rig.label(&ret).await.unwrap();
    assert_eq!(ret.state(), ReturnState::Authorized);
    assert_eq!(ret.tracking_number, format!("RET-{}", ret.shipment_id));
    rig.scan(&ret, TrackingStatus::PreTransit);
    rig.scan(&ret, TrackingStatus::InTransit);
    rig.wait(&ret, ReturnState::InTransit).await;

    let ret = rig.receive(&ret, &[2, 0]).await.unwrap();
    assert_eq!(ret.state(), ReturnState::PartiallyReceived);
    let ret = rig.receive(&ret, &[1, 1]).await.unwrap();
    assert_eq!(ret.state(), ReturnState::Received);
    let ret = rig
        .inspect(&ret, &[3, 1], ReturnCondition::Sellable, false)
        .await
        .unwrap();
    assert_eq!(ret.state(), ReturnState::Inspected);
    assert_eq!(ret.lines[0].condition(), ReturnCondition::Sellable);
    assert_eq!(ret.lines[0].money_state(), pb::ReturnMoneyState::Triggered);
    rig.dispose(&ret, &[2, 1], Disposition::Restock)
        .await
        .unwrap();
    let ret = rig
        .dispose(&ret, &[1, 0], Disposition::Scrap)
        .await
        .unwrap();
    assert_eq!(ret.state(), ReturnState::Inspected, "money is still owed");

    let [refund] = rig.refunds(&ret, 11).await.try_into().unwrap();
    let units: Vec<i64> = refund.lines.iter().map(|line| line.quantity).collect();
    assert_eq!(units, [3, 1]);
    rig.pay(&refund, 7_300);
    let closed = rig.wait(&ret, ReturnState::Closed).await;
    assert_eq!(closed.refunded, Some(usd(7_300)));
    for (line, (restocked, scrapped)) in closed.lines.iter().zip([(2, 1), (1, 0)]) {
        assert_eq!(line.money_state(), pb::ReturnMoneyState::Refunded);
        assert_eq!((line.restocked, line.scrapped), (restocked, scrapped));
        assert_eq!(line.inspected, line.advised);
    }
    assert!(closed.supported_actions.iter().all(|one| !one.allowed));

    assert_eq!(closed.etag, "13");
    the_feed_told_it(&rig, &ret).await;
}

/// A return that was just asked for.
fn it_knows_its_order(ret: &pb::Return, order: &Order) {
    assert_eq!(ret.state(), ReturnState::Requested);
    assert_eq!(ret.order_number, order.order_number);
    assert_eq!(ret.channel_id, order.channel_id);
    assert_eq!(ret.origin, order.destination);
    assert_eq!(ret.location_id, LOCATION);
    assert_eq!(ret.refunded, Some(usd(0)));
    let skus: Vec<(&str, i64)> = ret
        .lines
        .iter()
        .map(|line| (line.sku.as_str(), line.advised))
        .collect();
    assert_eq!(skus, [("SKU-0", 3), ("SKU-1", 1)]);
}

/// What happened, in order, and who did it.
async fn the_feed_told_it(rig: &Rig, ret: &pb::Return) {
    let events = rig.events(ret, 13).await;
    let expected = [
        "request",
        "authorize",
        "issue_label",
        "label_issued",
        "transit",
        "ReturnReceived",
        "ReturnReceived",
        "ReturnInspected",
        "ReturnRefundTriggered",
        "ReturnDisposed",
        "ReturnDisposed",
        "refund",
        "close",
    ];
    assert_eq!(told(&events), expected);
    let actors: Vec<&str> = events
        .iter()
        .map(|(event, _)| event.actor.as_str())
        .collect();
    assert_eq!(actors[4], "service:table_rate");
    assert_eq!(actors[11..], ["service:order", "service:order"]);
    assert!(
        actors[..4]
            .iter()
            .chain(&actors[5..11])
            .all(|who| *who == "user:ann")
    );
    for (event, _) in &events {
        assert_eq!(event.aggregate_type, "return");
        assert_eq!(
            (event.channel_id.as_str(), event.location_id.as_str()),
            ("web", LOCATION)
        );
    }
}

#[tokio::test]
async fn what_arrives_in_parts_is_inspected_and_disposed_in_parts() {
    let rig = Rig::start().await;
    let ret = rig.authorized(&[3, 2], RefundTiming::OnInspection).await;
    rig.receive(&ret, &[1, 0]).await.unwrap();
    rig.inspect(&ret, &[1, 0], ReturnCondition::Defective, false)
        .await
        .unwrap();
    let ret = rig
        .dispose(&ret, &[1, 0], Disposition::Quarantine)
        .await
        .unwrap();
    assert_eq!(ret.state(), ReturnState::PartiallyReceived);
    assert_eq!(
        (ret.lines[0].quarantined, ret.lines[0].refund_quantity),
        (1, 1)
    );
    rig.receive(&ret, &[2, 2]).await.unwrap();
    let ret = rig
        .inspect(&ret, &[2, 1], ReturnCondition::Sellable, false)
        .await
        .unwrap();
    assert_eq!(ret.state(), ReturnState::Received);
    let ret = rig
        .inspect(&ret, &[0, 1], ReturnCondition::WrongItem, false)
        .await
        .unwrap();
    assert_eq!(ret.state(), ReturnState::Inspected);
    assert_eq!(ret.lines[1].condition(), ReturnCondition::WrongItem);
    let refunds = rig.refunds(&ret, 11).await;
    let mut ids: Vec<&str> = refunds.iter().map(|one| one.refund_id.as_str()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3, "every refund has an id of its own");
    let units: Vec<i64> = refunds
        .iter()
        .flat_map(|refund| &refund.lines)
        .map(|line| line.quantity)
        .collect();
    assert_eq!(units.iter().sum::<i64>(), 5, "{refunds:?}");
}

#[tokio::test]
async fn facts_tell_what_inventory_needs() {
    let rig = Rig::start().await;
    let ret = rig.authorized(&[2], RefundTiming::OnInspection).await;
    rig.receive(&ret, &[2]).await.unwrap();
    rig.inspect(&ret, &[2], ReturnCondition::Sellable, false)
        .await
        .unwrap();
    rig.dispose(&ret, &[2], Disposition::Restock).await.unwrap();
    let events = rig.events(&ret, 6).await;
    let line = &ret.lines[0];
    let units = pb::ReturnedUnits {
        return_line_id: line.return_line_id.clone(),
        order_line_id: line.order_line_id.clone(),
        sku: line.sku.clone(),
        quantity: 2,
    };
    let received = Fact::ReturnReceived(pb::ReturnReceived {
        return_id: ret.return_id.clone(),
        order_id: ret.order_id.clone(),
        location_id: LOCATION.to_owned(),
        lines: vec![units.clone()],
    });
    let disposed = Fact::ReturnDisposed(pb::ReturnDisposed {
        return_id: ret.return_id.clone(),
        order_id: ret.order_id.clone(),
        location_id: LOCATION.to_owned(),
        lines: vec![pb::DisposedUnits {
            units: Some(units),
            disposition: Disposition::Restock.into(),
        }],
    });
    assert_eq!((&events[2].1, &events[5].1), (&received, &disposed));
}

#[tokio::test]
async fn a_scan_that_comes_after_the_goods_changes_nothing() {
    let rig = Rig::start().await;
    let ret = rig.authorized(&[2], RefundTiming::OnInspection).await;
    let ret = rig.label(&ret).await.unwrap();
    let received = rig.receive(&ret, &[1]).await.unwrap();
    rig.scan(&ret, TrackingStatus::Delivered);
    // What follows in the feed has been applied, so the scan before it has, too.
    let other = rig.authorized(&[1], RefundTiming::OnInspection).await;
    rig.scan(&other, TrackingStatus::InTransit);
    rig.wait(&other, ReturnState::InTransit).await;
    assert_eq!(rig.get(&ret.return_id).await, received);
}

#[tokio::test]
async fn the_label_is_one_shipment_from_the_customer_to_the_location() {
    let rig = Rig::start().await;
    let ret = rig.authorized(&[3, 1], RefundTiming::OnInspection).await;
    rig.label(&ret).await.unwrap();
    let created = rig.shipments.created.lock().unwrap().clone();
    let shipment = created.first().unwrap();
    assert_eq!(shipment.direction(), ShipmentDirection::Return);
    assert_eq!(shipment.return_id, ret.return_id);
    assert_eq!(shipment.order_id, ret.order_id);
    assert_eq!(shipment.location_id, LOCATION);
    assert_eq!(shipment.destination, ret.origin);
    let units: Vec<i64> = shipment.packages[0]
        .lines
        .iter()
        .map(|line| line.quantity)
        .collect();
    assert_eq!(units, [3, 1]);
}
