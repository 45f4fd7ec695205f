//! Lists: pages in order, filters, tokens.

use std::time::Duration;

use oms_proto::common::v1::ErrorReason;
use oms_proto::returns::v1 as pb;
use oms_proto::returns::v1::{RefundTiming, ReturnState};
use oms_service::PeerError;
use tonic::Code;

use crate::rig::{Rig, by, ok};

async fn list(
    rig: &Rig,
    request: pb::ListReturnsRequest,
) -> Result<pb::ListReturnsResponse, PeerError> {
    ok(rig
        .returns
        .clone()
        .list_returns(by("user:ann", request))
        .await)
}

fn ids(page: &pb::ListReturnsResponse) -> Vec<&str> {
    page.returns
        .iter()
        .map(|one| one.return_id.as_str())
        .collect()
}

#[tokio::test]
async fn pages_follow_each_other_oldest_first() {
    let rig = Rig::start().await;
    let mut all = Vec::new();
    // Some at the same instant, some later.
    for index in 0..5 {
        let order = rig.shipped(&[1]);
        let ret = rig.request(&order, &[1], RefundTiming::OnReceipt).await;
        all.push(ret.unwrap());
        if index % 2 == 0 {
            rig.clock.advance(Duration::from_micros(1));
        }
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    for expected in [2, 2, 1] {
        let request = pb::ListReturnsRequest {
            page_size: 2,
            page_token: token,
            ..Default::default()
        };
        let page = list(&rig, request).await.unwrap();
        assert_eq!(page.returns.len(), expected);
        seen.extend(page.returns);
        token = page.next_page_token;
    }
    assert_eq!(token, "");
    assert_eq!(seen, all);
}

#[tokio::test]
async fn filters_select() {
    let rig = Rig::start().await;
    let order = rig.shipped(&[2, 1]);
    let open = rig
        .request(&order, &[1, 0], RefundTiming::OnReceipt)
        .await
        .unwrap();
    let gone = rig
        .request(&order, &[1, 0], RefundTiming::OnReceipt)
        .await
        .unwrap();
    rig.decline(&gone).await.unwrap();
    rig.authorized(&[1], RefundTiming::OnReceipt).await;
    let of_order = pb::ListReturnsRequest {
        order_id: order.order_id.clone(),
        ..Default::default()
    };
    let page = list(&rig, of_order.clone()).await.unwrap();
    assert_eq!(
        ids(&page),
        [open.return_id.as_str(), gone.return_id.as_str()]
    );
    let declined = pb::ListReturnsRequest {
        states: vec![ReturnState::Declined.into()],
        ..of_order
    };
    let page = list(&rig, declined).await.unwrap();
    assert_eq!(ids(&page), [gone.return_id.as_str()]);
    let two = pb::ListReturnsRequest {
        states: vec![
            ReturnState::Requested.into(),
            ReturnState::Authorized.into(),
        ],
        ..Default::default()
    };
    assert_eq!(list(&rig, two).await.unwrap().returns.len(), 2);
}

#[tokio::test]
async fn a_token_serves_its_own_filter_only() {
    let rig = Rig::start().await;
    for _ in 0..2 {
        rig.authorized(&[1], RefundTiming::OnReceipt).await;
    }
    let first = pb::ListReturnsRequest {
        page_size: 1,
        ..Default::default()
    };
    let token = list(&rig, first.clone()).await.unwrap().next_page_token;
    assert!(!token.is_empty());
    let other = pb::ListReturnsRequest {
        page_token: token.clone(),
        states: vec![ReturnState::Authorized.into()],
        ..first.clone()
    };
    let made_up = pb::ListReturnsRequest {
        page_token: "made-up".to_owned(),
        ..first.clone()
    };
    for wrong in [other, made_up] {
        let error = list(&rig, wrong).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(error.reason(), Some(ErrorReason::PageTokenInvalid));
    }
    // Another size is the same filter.
    let larger = pb::ListReturnsRequest {
        page_token: token,
        page_size: 10,
        ..first
    };
    let page = list(&rig, larger).await.unwrap();
    assert_eq!((page.returns.len(), page.next_page_token.as_str()), (1, ""));
}
