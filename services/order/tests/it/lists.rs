//! Lists of orders and the timeline, in pages.

use std::time::Duration;

use oms_proto::common::v1::ErrorReason;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::OrderState;

use crate::rig::{Rig, WEB, answered, new_order};

async fn list(rig: &Rig, request: pb::ListOrdersRequest) -> pb::ListOrdersResponse {
    let answer = rig.api.orders.clone().list_orders(request).await;
    answer.unwrap().into_inner()
}

fn ids(page: &pb::ListOrdersResponse) -> Vec<&str> {
    page.orders
        .iter()
        .map(|order| order.order_id.as_str())
        .collect()
}

/// Three orders, a minute apart; the second one is rejected.
async fn three(rig: &Rig) -> Vec<pb::Order> {
    let mut placed = Vec::new();
    for (number, token) in ["tok_approve", "tok_decline", "tok_approve"]
        .iter()
        .enumerate()
    {
        rig.clock.advance(Duration::from_mins(1));
        let mut order = new_order(&[("A", 1)], token);
        order.customer_id = format!("customer-{}", number % 2);
        placed.push(rig.place(order).await);
    }
    rig.until_done(&placed[1].order_id).await;
    placed
}

#[tokio::test]
async fn orders_come_newest_first_in_pages() {
    let rig = Rig::start().await;
    let placed = three(&rig).await;
    let newest_first: Vec<&str> = placed.iter().rev().map(|o| o.order_id.as_str()).collect();
    let mut request = pb::ListOrdersRequest {
        page_size: 2,
        ..pb::ListOrdersRequest::default()
    };
    let first = list(&rig, request.clone()).await;
    assert_eq!(ids(&first), newest_first[..2]);
    assert_eq!(first.orders[0].lines.len(), 1);
    request.page_token = first.next_page_token;
    let second = list(&rig, request.clone()).await;
    assert_eq!(ids(&second), newest_first[2..]);
    assert_eq!(second.next_page_token, "");
    // A token of another list is refused.
    request.channel_id = WEB.to_owned();
    let error = answered(rig.api.orders.clone().list_orders(request).await).unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::PageTokenInvalid));
}

#[tokio::test]
async fn orders_are_found_by_filter() {
    let rig = Rig::start().await;
    let placed = three(&rig).await;
    let third = placed[2].create_time;
    let all = pb::ListOrdersRequest::default;
    let rejected = vec![OrderState::Rejected.into()];
    let number = placed[1].order_number.clone();
    let filters = [
        (all(), 3),
        (
            pb::ListOrdersRequest {
                states: rejected,
                ..all()
            },
            1,
        ),
        (
            pb::ListOrdersRequest {
                customer_id: "customer-0".to_owned(),
                ..all()
            },
            2,
        ),
        (
            pb::ListOrdersRequest {
                channel_id: "shop".to_owned(),
                ..all()
            },
            0,
        ),
        (
            pb::ListOrdersRequest {
                order_number: number,
                ..all()
            },
            1,
        ),
        (
            pb::ListOrdersRequest {
                created_after: third,
                ..all()
            },
            1,
        ),
        (
            pb::ListOrdersRequest {
                created_before: third,
                ..all()
            },
            2,
        ),
    ];
    for (filter, found) in filters {
        assert_eq!(
            list(&rig, filter.clone()).await.orders.len(),
            found,
            "{filter:?}"
        );
    }
}

#[tokio::test]
async fn the_timeline_comes_oldest_first_in_pages() {
    let rig = Rig::start().await;
    let placed = rig.place(new_order(&[("A", 1)], "tok_approve")).await;
    rig.until_done(&placed.order_id).await;
    let mut request = pb::GetOrderTimelineRequest {
        order_id: placed.order_id,
        page_size: 2,
        page_token: String::new(),
    };
    let mut sequences = Vec::new();
    loop {
        let answer = rig
            .api
            .orders
            .clone()
            .get_order_timeline(request.clone())
            .await;
        let page = answer.unwrap().into_inner();
        sequences.extend(page.entries.iter().map(|entry| entry.sequence));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(sequences, [1, 2, 3, 4, 5]);
}
