//! A caller that read an older version is refused.

use oms_proto::common::v1::ErrorReason;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::HoldReason;
use tonic::Code;

use crate::rig::{Rig, answered, id, new_order, web};

#[tokio::test]
async fn a_stale_etag_is_refused_by_every_command_that_takes_one() {
    let rig = Rig::start().await;
    let placed = rig.place(new_order(&[("A", 1)], "tok_approve")).await;
    let order = rig.until_done(&placed.order_id).await;
    let stale = "1".to_owned();
    assert_ne!(order.etag, stale);

    let update = pb::UpdateOrderRequest {
        request_id: id(),
        order_id: order.order_id.clone(),
        etag: stale.clone(),
        instructions: Some("late".to_owned()),
        ..pb::UpdateOrderRequest::default()
    };
    let update = answered(rig.api.orders.clone().update_order(update).await).unwrap_err();
    let hold = pb::PlaceHoldRequest {
        request_id: id(),
        order_id: order.order_id.clone(),
        etag: stale.clone(),
        reason: HoldReason::Manual.into(),
        ..pb::PlaceHoldRequest::default()
    };
    let hold = rig.hold(hold).await.unwrap_err();
    rig.channel(|channel| channel.name = "Newer".to_owned())
        .await;
    let channel = pb::UpsertChannelRequest {
        request_id: id(),
        channel: Some(pb::Channel {
            etag: stale,
            ..web()
        }),
    };
    let channel = answered(rig.api.channels.clone().upsert_channel(channel).await).unwrap_err();
    for (error, present) in [
        (update, &order.etag),
        (hold, &order.etag),
        (channel, &"2".to_owned()),
    ] {
        assert_eq!(error.code(), Code::Aborted, "{error}");
        assert_eq!(error.reason(), Some(ErrorReason::EtagMismatch), "{error}");
        assert_eq!(error.metadata("etag"), Some(present.as_str()));
    }
    assert_eq!(rig.get(&order.order_id).await, order);
}
