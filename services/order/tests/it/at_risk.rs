//! Open orders by what they wait for, and by when it should be done.

use std::time::Duration;

use oms_proto::fulfillment::v1 as ff;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fulfillment;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::OrderStage::{Authorize, Pick, Release, Ship, Unspecified};
use oms_testkit::wait_for;
use tonic::Code;

use crate::peers::Trick;
use crate::rig::{Rig, answered, id, new_order};

/// Orders at risk within this time, with their stages and how many seconds late they are.
async fn at_risk(rig: &Rig, within: i64) -> Vec<(String, pb::OrderStage, i64)> {
    let request = pb::ListAtRiskRequest {
        within: Some(seconds(within)),
        ..pb::ListAtRiskRequest::default()
    };
    let answer = rig.api.orders.clone().list_at_risk(request).await.unwrap();
    let orders = answer.into_inner().orders;
    let late = |one: &pb::OrderAtRisk| one.late_by.unwrap().seconds;
    orders
        .iter()
        .map(|one| (one.order_id.clone(), one.stage(), late(one)))
        .collect()
}

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

async fn backlog(rig: &Rig) -> Vec<pb::Backlog> {
    let mut orders = rig.api.orders.clone();
    let answer = orders.get_backlog(pb::GetBacklogRequest {}).await;
    answer.unwrap().into_inner().rows
}

#[tokio::test]
async fn an_order_goes_through_its_stages_and_leaves_the_list() {
    let rig = Rig::start().await;
    rig.peers.trick(
        "ProposeSourcing",
        Trick::Fail(tonic::Status::unavailable("later")),
    );
    let placed = rig.place_only(new_order(&[("A", 2)], "tok_approve")).await;
    assert_eq!(placed.stage(), Authorize);
    let deadlines = placed.deadlines.unwrap();
    let placed_at = placed.create_time.unwrap().seconds;
    assert_eq!(deadlines.authorize_by.unwrap().seconds - placed_at, 15 * 60);
    // The clock stands on a Thursday noon: a ground order goes out on Friday at six.
    assert_eq!(deadlines.ship_by.unwrap().seconds - placed_at, 30 * 3_600);

    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.stage(), Pick, "{order:?}");
    assert_eq!(at_risk(&rig, 0).await, []);
    let soon = at_risk(&rig, 29 * 3_600).await;
    assert_eq!(soon.len(), 1, "{soon:?}");
    assert!(soon[0].1 == Pick && soon[0].2 < 0, "{soon:?}");

    let work = order.fulfillment_order_ids[0].clone();
    let picked = Fulfillment::FulfillmentOrderPicked(ff::FulfillmentOrderPicked {
        fulfillment_order_id: work.clone(),
        order_id: order.order_id.clone(),
        lines: vec![ff::LineProgress {
            order_line_id: order.lines[0].order_line_id.clone(),
            quantity: 2,
            picked: 2,
            packed: 0,
        }],
    });
    rig.tell_fulfillment(&work, picked);
    rig.until(&order.order_id, "every unit to be picked", |order| {
        order.stage() == Ship
    })
    .await;
    rig.clock.advance(Duration::from_hours(31));
    let late = at_risk(&rig, 0).await;
    assert!(late[0].1 == Ship && late[0].2 > 0, "{late:?}");
    let rows = backlog(&rig).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (
            rows[0].stage(),
            rows[0].orders,
            rows[0].late,
            rows[0].at_risk
        ),
        (Ship, 1, 1, 1)
    );
    assert!(!rows[0].location_id.is_empty());

    rig.ship(&order, &[2]);
    rig.until(&order.order_id, "it to have shipped", |order| {
        order.stage() == Unspecified
    })
    .await;
    assert_eq!(at_risk(&rig, 3_600).await, []);
    assert_eq!(backlog(&rig).await, []);
    rig.audit().await;
}

#[tokio::test]
async fn a_shop_may_promise_by_itself_and_what_ended_waits_for_nothing() {
    let rig = Rig::start().await;
    let mut order = new_order(&[("A", 1)], "tok_approve");
    let now = rig.place(order.clone()).await.create_time.unwrap();
    order.ship_by = Some(prost_types::Timestamp {
        seconds: now.seconds + 3_600,
        nanos: 0,
    });
    let promised = rig.place(order).await;
    assert_eq!(
        promised.deadlines.unwrap().ship_by.unwrap().seconds,
        now.seconds + 3_600
    );
    let declined = rig.place(new_order(&[("A", 1)], "tok_decline")).await;
    let declined = rig.until_done(&declined.order_id).await;
    assert_eq!(declined.stage(), Unspecified);
    let listed = at_risk(&rig, 3_600).await;
    assert!(
        listed.iter().any(|one| one.0 == promised.order_id),
        "{listed:?}"
    );
    assert!(
        listed.iter().all(|one| one.0 != declined.order_id),
        "{listed:?}"
    );
}

#[tokio::test]
async fn the_most_urgent_come_first_in_pages() {
    let rig = Rig::start().await;
    let mut expected = Vec::new();
    for days in [3, 1, 2] {
        let mut order = new_order(&[("A", 1)], "tok_approve");
        let now = oms_core::Clock::now(&rig.clock).unix_timestamp();
        order.ship_by = Some(prost_types::Timestamp {
            seconds: now + days * 86_400,
            nanos: 0,
        });
        let placed = rig.place(order).await;
        rig.until_done(&placed.order_id).await;
        expected.push((days, placed.order_id));
    }
    expected.sort();
    let mut request = pb::ListAtRiskRequest {
        stage: Pick.into(),
        within: Some(seconds(9 * 86_400)),
        page_size: 2,
        ..pb::ListAtRiskRequest::default()
    };
    let mut found = Vec::new();
    loop {
        let answer = rig
            .api
            .orders
            .clone()
            .list_at_risk(request.clone())
            .await
            .unwrap();
        let page = answer.into_inner();
        found.extend(page.orders.into_iter().map(|one| one.order_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let expected: Vec<String> = expected.into_iter().map(|(_, id)| id).collect();
    assert_eq!(found, expected);
    request.page_token.clear();
    request.stage = Release.into();
    let none = rig
        .api
        .orders
        .clone()
        .list_at_risk(request.clone())
        .await
        .unwrap();
    assert_eq!(none.into_inner().orders, []);
    request.stage = 99;
    request.within = Some(seconds(-1));
    let refused = answered(rig.api.orders.clone().list_at_risk(request).await).unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn an_order_that_was_never_looked_at_by_this_version_is_counted_after_its_next_change() {
    let rig = Rig::start().await;
    let order = rig.place(new_order(&[("A", 1)], "tok_approve")).await;
    let order = rig.until_done(&order.order_id).await;
    // As a replica of a version without deadlines leaves it.
    let forget =
        "UPDATE orders SET stage = '', stage_due = NULL, stage_since = NULL RETURNING 1::bigint";
    rig.count(forget).await;
    assert_eq!(backlog(&rig).await, []);
    let request = pb::UpdateOrderRequest {
        request_id: id(),
        order_id: order.order_id.clone(),
        instructions: Some("ring twice".to_owned()),
        ..pb::UpdateOrderRequest::default()
    };
    rig.api.orders.clone().update_order(request).await.unwrap();
    wait_for("the order to be counted", || async {
        match backlog(&rig).await.as_slice() {
            [row] if row.stage() == Pick => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_stage_is_not_at_risk_in_the_first_half_of_its_time() {
    let rig = Rig::start().await;
    let mut order = new_order(&[("A", 1)], "tok_approve");
    let now = rig.place(order.clone()).await.create_time.unwrap();
    // Picked two hours before: half an hour from now, which is within the hour of the configuration.
    order.ship_by = Some(prost_types::Timestamp {
        seconds: now.seconds + 9_000,
        nanos: 0,
    });
    let hurried = rig.place(order).await;
    rig.until_done(&hurried.order_id).await;
    let count = async || -> i64 { backlog(&rig).await.iter().map(|row| row.at_risk).sum() };
    assert_eq!(count().await, 0);
    assert!(listed(&rig).await.is_empty());
    rig.clock.advance(Duration::from_mins(16));
    assert_eq!(count().await, 1);
    assert_eq!(listed(&rig).await, [hurried.order_id]);
}

/// Orders that the configuration calls at risk.
async fn listed(rig: &Rig) -> Vec<String> {
    let request = pb::ListAtRiskRequest::default();
    let answer = rig.api.orders.clone().list_at_risk(request).await.unwrap();
    let orders = answer.into_inner().orders;
    orders.into_iter().map(|one| one.order_id).collect()
}
