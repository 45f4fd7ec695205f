//! Pack sessions.

use oms_proto::common::v1::ErrorReason;
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fact;
use oms_proto::fulfillment::v1::{FloorStage, PackSessionState};

use crate::rig::{Rig, WEST, by, code, id, ok};

#[tokio::test]
async fn packing_ends_with_packages_for_shipping() {
    let rig = Rig::start().await;
    let order = rig.picked(&[("A", 2), ("B", 1)]).await;
    let session = rig.open(&order.fulfillment_order_id).await.unwrap();
    assert_eq!(
        (session.state(), session.packed_by.as_str()),
        (PackSessionState::Open, "user:bob")
    );
    let session_id = session.pack_session_id.as_str();
    rig.pack(session_id, 1, &code("A"), 1).await.unwrap();
    rig.pack(session_id, 1, &code("B"), 1).await.unwrap();
    let session = rig.pack(session_id, 2, "1-A", 1).await.unwrap();
    assert_eq!(session.packages.len(), 2);
    // Nothing is packed before the session is closed.
    assert_eq!(
        rig.get(&order.fulfillment_order_id).await.lines[0].packed,
        0
    );

    rig.measure(session_id, 1).await.unwrap();
    let early = rig.close(session_id).await.unwrap_err();
    assert_eq!(early.reason(), Some(ErrorReason::IllegalTransition));
    assert!(
        early.message().ends_with("missing of package 2"),
        "{}",
        early.message()
    );
    let measured = rig.measure(session_id, 2).await.unwrap();
    let stale = pb::ClosePackSessionRequest {
        request_id: id(),
        pack_session_id: session_id.to_owned(),
        etag: session.etag.clone(),
    };
    let stale = ok(rig.packing.clone().close_pack_session(stale).await).unwrap_err();
    assert_eq!(stale.reason(), Some(ErrorReason::EtagMismatch));
    let closed = rig.close(session_id).await.unwrap();
    assert_eq!(closed.state(), PackSessionState::Closed);
    assert_eq!(closed.packages, measured.packages);

    let packed = rig.get(&order.fulfillment_order_id).await;
    assert_eq!(packed.floor_stage(), FloorStage::Packed);
    assert_eq!((packed.lines[0].packed, packed.lines[1].packed), (2, 1));
    // Created; released; picked, begun; picked, done; packing; packed, its stage.
    let events = rig.events(&order.fulfillment_order_id, 9).await;
    let (event, fact) = events
        .iter()
        .find(|(event, _)| event.r#type == "FulfillmentOrderPacked")
        .unwrap();
    assert_eq!(event.actor, "user:bob");
    let Fact::FulfillmentOrderPacked(fact) = fact else {
        panic!("{fact:?}")
    };
    assert_eq!(fact.packages, closed.packages);
    assert_eq!(fact.destination, order.destination);
    assert_eq!(
        (fact.location_id.as_str(), fact.channel_id.as_str()),
        (WEST, "web")
    );
    assert_eq!(fact.pack_session_id, session_id);
    let line = &fact.packages[1].lines[0];
    assert_eq!(
        (line.quantity, line.reservation_id.as_str()),
        (1, order.lines[0].reservation_id.as_str())
    );

    for late in [
        rig.pack(session_id, 1, &code("A"), 1).await,
        rig.measure(session_id, 1).await,
        rig.close(session_id).await,
    ] {
        assert_eq!(
            late.unwrap_err().reason(),
            Some(ErrorReason::IllegalTransition)
        );
    }
}

#[tokio::test]
async fn nothing_is_packed_that_was_not_picked() {
    let rig = Rig::start().await;
    let order = rig.order(&[("A", 3), ("B", 1)]).await;
    let early = rig.open(&order.fulfillment_order_id).await.unwrap_err();
    assert_eq!(early.reason(), Some(ErrorReason::IllegalTransition));
    let list = rig.released().await;
    rig.scan(&list.pick_list_id, &code("A"), 2).await.unwrap();
    let session = rig.open(&order.fulfillment_order_id).await.unwrap();
    let session_id = session.pack_session_id.as_str();

    let over = rig.pack(session_id, 1, &code("A"), 3).await.unwrap_err();
    assert_eq!(over.reason(), Some(ErrorReason::QuantityExceedsOpen));
    assert_eq!(over.metadata("open"), Some("2"));
    let unpicked = rig.pack(session_id, 1, &code("B"), 1).await.unwrap_err();
    assert_eq!(unpicked.metadata("open"), Some("0"));
    let wrong = rig.pack(session_id, 1, &code("C"), 1).await.unwrap_err();
    assert_eq!(wrong.reason(), Some(ErrorReason::BarcodeMismatch));
    let gap = rig.pack(session_id, 2, &code("A"), 1).await.unwrap_err();
    assert_eq!(gap.violations()[0].field, "package_number");
    rig.pack(session_id, 1, &code("A"), 2).await.unwrap();
    let over = rig.pack(session_id, 1, &code("A"), 1).await.unwrap_err();
    assert_eq!(over.reason(), Some(ErrorReason::QuantityExceedsOpen));
    let missing = rig.measure(session_id, 2).await.unwrap_err();
    assert_eq!(missing.reason(), Some(ErrorReason::ReferenceUnknown));
}

#[tokio::test]
async fn one_session_at_a_time_and_an_abandoned_one_unpacks() {
    let rig = Rig::start().await;
    let order = rig.picked(&[("A", 2)]).await;
    let session = rig.open(&order.fulfillment_order_id).await.unwrap();
    rig.pack(&session.pack_session_id, 1, &code("A"), 2)
        .await
        .unwrap();
    let second = rig.open(&order.fulfillment_order_id).await.unwrap_err();
    assert!(
        second.message().contains("another pack session is open"),
        "{}",
        second.message()
    );

    let abandon = pb::AbandonPackSessionRequest {
        request_id: id(),
        pack_session_id: session.pack_session_id.clone(),
        etag: String::new(),
    };
    let request = by("user:bob", abandon);
    let gone = rig
        .packing
        .clone()
        .abandon_pack_session(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        gone.pack_session.unwrap().state(),
        PackSessionState::Abandoned
    );
    let picked = rig.get(&order.fulfillment_order_id).await;
    assert_eq!(
        (picked.floor_stage(), picked.lines[0].packed),
        (FloorStage::Picked, 0)
    );
    let session = rig.packed(&order.fulfillment_order_id, &[("A", 2)]).await;
    let get = pb::GetPackSessionRequest {
        pack_session_id: session.pack_session_id.clone(),
    };
    let read = rig
        .packing
        .clone()
        .get_pack_session(get)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(read.pack_session.unwrap(), session);
}

#[tokio::test]
async fn an_order_may_be_packed_in_parts() {
    let rig = Rig::start().await;
    let order = rig.order(&[("A", 3)]).await;
    let list = rig.released().await;
    rig.scan(&list.pick_list_id, &code("A"), 1).await.unwrap();
    rig.packed(&order.fulfillment_order_id, &[("A", 1)]).await;
    // Two are still on the shelf.
    assert_eq!(
        rig.get(&order.fulfillment_order_id).await.floor_stage(),
        FloorStage::Picking
    );
    rig.scan(&list.pick_list_id, &code("A"), 2).await.unwrap();
    rig.packed(&order.fulfillment_order_id, &[("A", 1)]).await;
    assert_eq!(
        rig.get(&order.fulfillment_order_id).await.floor_stage(),
        FloorStage::Picked
    );
    rig.packed(&order.fulfillment_order_id, &[("A", 1)]).await;
    let packed = rig.get(&order.fulfillment_order_id).await;
    assert_eq!(
        (packed.floor_stage(), packed.lines[0].packed),
        (FloorStage::Packed, 3)
    );
}
