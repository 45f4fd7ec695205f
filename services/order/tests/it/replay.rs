//! Every mutating call twice is the same as once; another body under the same id is refused.

use oms_proto::common::v1::ErrorReason;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::{HoldReason, OrderState};
use oms_service::PeerError;
use tonic::{Code, Request};

use crate::rig::{Rig, WEB, answered, id, new_order, request, web};

fn assert_reused(error: &PeerError) {
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert_eq!(
        error.reason(),
        Some(ErrorReason::RequestIdReused),
        "{error}"
    );
}

#[tokio::test]
async fn place_order() {
    let rig = Rig::start().await;
    let first = request(
        new_order(&[("A", 2)], "tok_approve"),
        pb::WaitFor::Confirmed,
    );
    let placed = rig.try_place(first.clone()).await.unwrap();
    // Waiting for something else is the same call; so is one whose item is not sold any more.
    rig.peers.stock("OLD", 0);
    let mut again = first.clone();
    again.wait_for = pb::WaitFor::Pending.into();
    let replayed = rig.try_place(again).await.unwrap();
    assert_eq!(replayed.order_id, placed.order_id);
    assert_eq!(replayed.state(), OrderState::Confirmed);
    let mut other = first.clone();
    other.order.as_mut().unwrap().lines[0].quantity = 3;
    assert_reused(&rig.try_place(other).await.unwrap_err());
    assert_eq!(rig.count("SELECT count(*) FROM orders").await, 1);

    // Somebody else's request id is another call.
    let mut by_bob = Request::new(first);
    by_bob
        .metadata_mut()
        .insert("oms-principal", "user:bob".parse().unwrap());
    let bobs = rig.api.orders.clone().place_order(by_bob).await.unwrap();
    assert_ne!(bobs.into_inner().order.unwrap().order_id, placed.order_id);
}

#[tokio::test]
async fn place_order_at_the_same_time() {
    let rig = Rig::start().await;
    let mut order = new_order(&[("A", 2)], "tok_approve");
    order.external_reference = "one".to_owned();
    let first = request(order, pb::WaitFor::Confirmed);
    let calls = (0..20).map(|_| rig.try_place(first.clone()));
    let answers = futures::future::join_all(calls).await;
    let mut ids: Vec<String> = answers
        .into_iter()
        .map(|answer| answer.unwrap().order_id)
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(rig.peers.free("A"), 98);
}

#[tokio::test]
async fn a_refused_call_may_be_repeated_corrected() {
    let rig = Rig::start().await;
    let mut wrong = request(new_order(&[("A", 0)], "tok_approve"), pb::WaitFor::Pending);
    assert!(rig.try_place(wrong.clone()).await.is_err());
    wrong.order.as_mut().unwrap().lines[0].quantity = 1;
    rig.try_place(wrong).await.unwrap();
}

#[tokio::test]
async fn update_order() {
    let rig = Rig::start().await;
    let placed = rig.place(new_order(&[("A", 1)], "tok_approve")).await;
    let placed = rig.until_done(&placed.order_id).await;
    let first = pb::UpdateOrderRequest {
        request_id: id(),
        order_id: placed.order_id.clone(),
        etag: placed.etag.clone(),
        instructions: Some("ring twice".to_owned()),
        custom_fields: [("gift".to_owned(), "yes".to_owned())]
            .into_iter()
            .collect(),
    };
    let update = |request| {
        let mut orders = rig.api.orders.clone();
        async move { answered(orders.update_order(request).await).map(|a| a.order.unwrap()) }
    };
    let updated = update(first.clone()).await.unwrap();
    assert_eq!(updated.instructions, "ring twice");
    assert_eq!(updated.custom_fields["gift"], "yes");
    let replayed = update(first.clone()).await.unwrap();
    assert_eq!(replayed.etag, updated.etag);
    let mut other = first.clone();
    other.instructions = None;
    assert_reused(&update(other).await.unwrap_err());
    // An empty value removes the field.
    let mut removes = first;
    removes.request_id = id();
    removes.etag = updated.etag;
    removes
        .custom_fields
        .insert("gift".to_owned(), String::new());
    assert!(update(removes).await.unwrap().custom_fields.is_empty());
    rig.audit().await;
}

#[tokio::test]
async fn place_hold_and_release_hold() {
    let rig = Rig::start().await;
    let placed = rig.place(new_order(&[("A", 1)], "tok_approve")).await;
    let placed = rig.until_done(&placed.order_id).await;
    let first = pb::PlaceHoldRequest {
        request_id: id(),
        order_id: placed.order_id.clone(),
        reason: HoldReason::Manual.into(),
        ..pb::PlaceHoldRequest::default()
    };
    let hold = rig.hold(first.clone()).await.unwrap();
    assert_eq!(rig.hold(first.clone()).await.unwrap(), hold);
    let mut other = first;
    other.reason = HoldReason::Other.into();
    assert_reused(&rig.hold(other).await.unwrap_err());

    let first = pb::ReleaseHoldRequest {
        request_id: id(),
        hold_id: hold.hold_id,
        note: String::new(),
    };
    let release = |request| {
        let mut holds = rig.api.holds.clone();
        async move { answered(holds.release_hold(request).await).map(|a| a.hold.unwrap()) }
    };
    let released = release(first.clone()).await.unwrap();
    assert_eq!(release(first.clone()).await.unwrap(), released);
    let mut other = first;
    other.note = "other".to_owned();
    assert_reused(&release(other).await.unwrap_err());
    assert_eq!(rig.get(&placed.order_id).await.holds.len(), 1);
    rig.audit().await;
}

#[tokio::test]
async fn upsert_channel() {
    let rig = Rig::start().await;
    let first = pb::UpsertChannelRequest {
        request_id: id(),
        channel: Some(pb::Channel {
            name: "Shop".to_owned(),
            ..web()
        }),
    };
    let upsert = |request| {
        let mut channels = rig.api.channels.clone();
        async move { answered(channels.upsert_channel(request).await).map(|a| a.channel.unwrap()) }
    };
    let changed = upsert(first.clone()).await.unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.etag.as_str()),
        ("Shop", "2")
    );
    assert_eq!(upsert(first.clone()).await.unwrap(), changed);
    let mut other = first;
    other.channel.as_mut().unwrap().name = "Other".to_owned();
    assert_reused(&upsert(other).await.unwrap_err());
    let versions = format!(
        "SELECT count(*) FROM (SELECT 1 FROM feed WHERE aggregate_id = '{WEB}'
         UNION ALL SELECT 1 FROM outbox WHERE aggregate_id = '{WEB}') e"
    );
    assert_eq!(rig.count(&versions).await, 2);
}
