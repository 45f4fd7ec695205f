//! When money goes back, and that it goes back once.

use oms_proto::returns::v1 as pb;
use oms_proto::returns::v1::{Disposition, RefundTiming, ReturnCondition, ReturnState};
use oms_service::reason_name;
use tonic::Code;

use crate::rig::{Rig, told, usd};

fn owed(ret: &pb::Return) -> Vec<i64> {
    ret.lines.iter().map(|line| line.refund_quantity).collect()
}

#[tokio::test]
async fn money_goes_back_at_its_point() {
    let rig = Rig::start().await;
    for (timing, expected) in [
        (RefundTiming::OnRequest, [3, 3, 3]),
        (RefundTiming::OnReceipt, [0, 2, 2]),
        (RefundTiming::OnInspection, [0, 0, 2]),
        (RefundTiming::Unspecified, [0, 0, 2]),
    ] {
        let order = rig.shipped(&[3]);
        let requested = rig.request(&order, &[3], timing).await.unwrap();
        assert_eq!(
            owed(&requested),
            [0],
            "nothing goes back before it is allowed"
        );
        let authorized = rig.authorize(&requested).await.unwrap();
        let received = rig.receive(&requested, &[2]).await.unwrap();
        let inspected = rig
            .inspect(&requested, &[2], ReturnCondition::Sellable, false)
            .await
            .unwrap();
        let seen = [&authorized, &received, &inspected].map(|ret| owed(ret)[0]);
        assert_eq!(seen, expected, "{timing:?}");
    }
}

#[tokio::test]
async fn goods_and_money_may_come_in_either_order() {
    let rig = Rig::start().await;
    let ret = rig.authorized(&[2], RefundTiming::OnRequest).await;
    let [refund] = rig.refunds(&ret, 3).await.try_into().unwrap();
    rig.pay(&refund, 2_000);
    // Money first: the return waits for the goods.
    rig.receive(&ret, &[2]).await.unwrap();
    rig.inspect(&ret, &[2], ReturnCondition::Sellable, false)
        .await
        .unwrap();
    rig.events(&ret, 6).await;
    let ret = rig.dispose(&ret, &[2], Disposition::Restock).await.unwrap();
    let closed = rig.wait(&ret, ReturnState::Closed).await;
    assert_eq!(closed.refunded, Some(usd(2_000)));
}

#[tokio::test]
async fn a_refund_is_booked_once_however_often_it_is_told() {
    let rig = Rig::start().await;
    let ret = rig.authorized(&[2], RefundTiming::OnRequest).await;
    let [refund] = rig.refunds(&ret, 3).await.try_into().unwrap();
    rig.pay(&refund, 2_000);
    rig.pay(&refund, 2_000);
    // The refund of another return is behind both in the feed.
    let other = rig.authorized(&[1], RefundTiming::OnRequest).await;
    let [last] = rig.refunds(&other, 3).await.try_into().unwrap();
    rig.pay(&last, 1_000);
    rig.events(&other, 4).await;
    let paid = rig.get(&ret.return_id).await;
    assert_eq!(paid.refunded, Some(usd(2_000)));
    assert_eq!(paid.etag, "4", "the second one changed nothing");
    let events = rig.events(&ret, 4).await;
    assert_eq!(told(&events)[2..], ["ReturnRefundTriggered", "refund"]);
    assert_eq!(rig.rows("return_refunds").await, 2);
}

#[tokio::test]
async fn a_denied_refund_is_not_asked_for() {
    let rig = Rig::start().await;
    let ret = rig.authorized(&[2], RefundTiming::OnInspection).await;
    rig.receive(&ret, &[2]).await.unwrap();
    let denied = rig
        .inspect(&ret, &[1], ReturnCondition::CustomerDamaged, true)
        .await
        .unwrap();
    assert_eq!(owed(&denied), [0]);
    assert_eq!(denied.lines[0].money_state(), pb::ReturnMoneyState::Pending);
    let rest = rig
        .inspect(&ret, &[1], ReturnCondition::CustomerDamaged, true)
        .await
        .unwrap();
    assert_eq!(rest.lines[0].money_state(), pb::ReturnMoneyState::Denied);
    // Nothing is owed, so it closes when the goods are gone.
    let closed = rig.dispose(&ret, &[2], Disposition::Scrap).await.unwrap();
    assert_eq!(closed.state(), ReturnState::Closed);
    assert_eq!(closed.refunded, Some(usd(0)));
}

#[tokio::test]
async fn a_refund_is_denied_only_where_the_inspection_decides() {
    let rig = Rig::start().await;
    for timing in [RefundTiming::OnRequest, RefundTiming::OnReceipt] {
        let ret = rig.authorized(&[2, 1], timing).await;
        let received = rig.receive(&ret, &[2, 1]).await.unwrap();
        let error = rig
            .inspect(&ret, &[1, 1], ReturnCondition::CustomerDamaged, true)
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        let fields: Vec<(&str, &str)> = error
            .violations()
            .iter()
            .map(|v| (v.field.as_str(), v.reason.as_str()))
            .collect();
        let malformed = reason_name(oms_proto::common::v1::ErrorReason::FieldMalformed);
        assert_eq!(
            fields,
            [
                ("lines[0].refund_denied", malformed),
                ("lines[1].refund_denied", malformed)
            ]
        );
        assert_eq!(rig.get(&ret.return_id).await, received);
    }
}

#[tokio::test]
async fn a_return_whose_money_is_on_its_way_cannot_be_given_up() {
    let rig = Rig::start().await;
    let ret = rig.authorized(&[1], RefundTiming::OnRequest).await;
    let error = rig.cancel(&ret).await.unwrap_err();
    let illegal = error.illegal_transition().expect("says why");
    assert_eq!(
        (illegal.aggregate.as_str(), illegal.state.as_str()),
        ("return", "AUTHORIZED")
    );
    assert_eq!(illegal.supported_actions, ["issue_label", "receive"]);
    let cancel = ret
        .supported_actions
        .iter()
        .find(|one| one.action == "cancel");
    assert!(cancel.is_some_and(|one| !one.allowed && one.reason.contains("money")));
}
