//! Deaths between the steps of a purchase: nothing is lost and nothing is bought twice.

use oms_proto::shipping::v1 as pb;
use oms_testkit::wait_for;
use std::time::Duration;

use crate::rig::{Rig, types};

/// Puts a bought label back to where it was when its effect was in a state, as a crash leaves it.
async fn rewind(rig: &Rig, effect_state: &str) {
    let mut conn = rig.conn().await;
    // One statement each; the service must not see half of it.
    let rewound = format!(
        "BEGIN;
         UPDATE shipments SET state = 'DRAFT';
         UPDATE labels SET state = 'REQUESTED', carrier_reference = '';
         UPDATE packages SET tracking_number = '';
         DELETE FROM label_packages;
         UPDATE effects SET state = '{effect_state}', carrier_reference = '',
             next_run_at = '2026-01-15 12:01Z';
         COMMIT"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(rewound))
        .execute(&mut conn)
        .await
        .unwrap();
}

async fn count(rig: &Rig, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(&mut rig.conn().await)
        .await
        .unwrap()
}

const BOOKINGS: &str = "SELECT count(*) FROM table_rate_bookings";

async fn labeled_again(rig: &Rig, before: &pb::Shipment) {
    // The clock stands still, so the claim ends when the test says so.
    let waiting = rig.get(&before.shipment_id).await;
    assert_eq!(waiting.state(), pb::ShipmentState::Draft);
    rig.clock.advance(Duration::from_mins(2));
    let after = rig
        .wait_for(&before.order_id, pb::ShipmentState::Labeled)
        .await;
    assert_eq!(after.packages, before.packages);
    assert_eq!(after.cost, before.cost);
    assert_eq!(count(rig, BOOKINGS).await, 1);
    assert_eq!(
        count(
            rig,
            "SELECT count(*) FROM effects WHERE state <> 'CONFIRMED'"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn dead_before_the_carrier_was_asked() {
    let rig = Rig::start().await;
    let before = rig.labeled(2).await;
    sqlx::query("DELETE FROM table_rate_bookings")
        .execute(&mut rig.conn().await)
        .await
        .unwrap();
    rewind(&rig, "PLANNED").await;
    labeled_again(&rig, &before).await;
}

#[tokio::test]
async fn dead_after_the_carrier_sold_and_before_it_was_recorded() {
    let rig = Rig::start().await;
    let before = rig.labeled(2).await;
    rewind(&rig, "SENT").await;
    labeled_again(&rig, &before).await;
    // Found by key, not sent again: one claim to send, one to find out.
    assert_eq!(count(&rig, "SELECT attempt::bigint FROM effects").await, 2);
}

#[tokio::test]
async fn dead_after_the_claim_and_before_the_carrier_heard_of_it() {
    let rig = Rig::start().await;
    let before = rig.labeled(1).await;
    sqlx::query("DELETE FROM table_rate_bookings")
        .execute(&mut rig.conn().await)
        .await
        .unwrap();
    rewind(&rig, "SENT").await;
    labeled_again(&rig, &before).await;
}

#[tokio::test]
async fn while_the_answer_is_awaited_nothing_else_may_happen() {
    let rig = Rig::start().await;
    let before = rig.labeled(1).await;
    rewind(&rig, "SENT").await;
    let shipment = rig.get(&before.shipment_id).await;
    assert_eq!(shipment.label_state(), pb::LabelState::Requested);
    assert!(
        shipment
            .supported_actions
            .iter()
            .all(|action| !action.allowed)
    );
    assert!(rig.buy_label(&before.shipment_id).await.is_err());
    assert!(rig.cancel(&before.shipment_id).await.is_err());
    labeled_again(&rig, &before).await;
}

#[tokio::test]
async fn a_void_whose_answer_was_lost_is_found_out() {
    let rig = Rig::start().await;
    let before = rig.labeled(1).await;
    rig.void_label(&before.shipment_id).await.unwrap();
    let rewound = "BEGIN;
        UPDATE shipments SET state = 'LABELED';
        UPDATE labels SET state = 'VOID_REQUESTED';
        UPDATE effects SET state = 'SENT', next_run_at = '2026-01-15 12:01Z' WHERE kind = 'VOID_LABEL';
        COMMIT";
    sqlx::raw_sql(rewound)
        .execute(&mut rig.conn().await)
        .await
        .unwrap();
    rig.clock.advance(Duration::from_mins(2));
    let after = rig
        .wait_for(&before.order_id, pb::ShipmentState::Draft)
        .await;
    assert_eq!(after.label_state(), pb::LabelState::Voided);
    wait_for("the effect to be settled", || async {
        match count(
            &rig,
            "SELECT count(*) FROM effects WHERE state <> 'CONFIRMED'",
        )
        .await
        {
            0 => Ok(()),
            open => Err(format!("{open} open")),
        }
    })
    .await;
    let events = rig.events(&before.shipment_id, 4).await;
    assert_eq!(types(&events)[2..], ["LabelVoided", "LabelVoided"]);
}
