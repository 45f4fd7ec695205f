//! Labels while shipping is away, and only one of them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use oms_proto::common::v1::ErrorReason;
use oms_proto::returns::v1::{RefundTiming, ReturnState};
use oms_testkit::wait_for;
use tonic::Code;

use crate::rig::{Rig, told};

#[tokio::test]
async fn a_label_that_shipping_cannot_sell_now_is_bought_later() {
    let rig = Rig::start().await;
    let ret = rig.authorized(&[1], RefundTiming::OnInspection).await;
    rig.shipments.down.store(true, Ordering::Relaxed);
    let asked = rig.label(&ret).await.unwrap();
    assert!(!asked.shipment_id.is_empty() && asked.tracking_number.is_empty());
    rig.shipments.down.store(false, Ordering::Relaxed);
    let labeled = wait_for("the label", || async {
        rig.clock.advance(Duration::from_mins(1));
        let ret = rig.get(&ret.return_id).await;
        if ret.tracking_number.is_empty() {
            return Err(format!("{ret:?}"));
        }
        Ok(ret)
    })
    .await;
    assert_eq!(labeled.shipment_id, asked.shipment_id);
    let events = rig.events(&ret, 4).await;
    assert_eq!(told(&events)[2..], ["issue_label", "label_issued"]);
    assert_eq!(events[3].0.actor, "user:ann", "who asked is not forgotten");
}

#[tokio::test]
async fn there_is_one_label_for_a_return() {
    let rig = Rig::start().await;
    let ret = rig.authorized(&[1], RefundTiming::OnInspection).await;
    let labeled = rig.label(&ret).await.unwrap();
    let error = rig.label(&ret).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(error.reason(), Some(ErrorReason::IllegalTransition));
    let illegal = error.illegal_transition().expect("says why");
    assert_eq!(illegal.action, "issue_label");
    assert_eq!(illegal.supported_actions, ["receive", "cancel"]);
    let action = labeled
        .supported_actions
        .iter()
        .find(|one| one.action == "issue_label");
    assert!(action.is_some_and(|one| !one.allowed && !one.reason.is_empty()));
    // The command and its task ask with the same ids, so shipping does the work once.
    let mut ids: Vec<String> = rig
        .shipments
        .created
        .lock()
        .unwrap()
        .iter()
        .map(|one| format!("{} {}", one.request_id, one.shipment_id))
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(rig.get(&ret.return_id).await, labeled);
}

#[tokio::test]
async fn no_label_is_bought_for_a_return_that_was_given_up() {
    let rig = Rig::start().await;
    let ret = rig.authorized(&[1], RefundTiming::OnInspection).await;
    rig.shipments.down.store(true, Ordering::Relaxed);
    rig.label(&ret).await.unwrap();
    // The task waits for the clock, so it cannot overtake the cancellation.
    let canceled = rig.cancel(&ret).await.unwrap();
    assert_eq!(canceled.state(), ReturnState::Canceled);
    rig.shipments.down.store(false, Ordering::Relaxed);
    wait_for("the task to end", || async {
        rig.clock.advance(Duration::from_mins(1));
        match rig.rows("tasks WHERE state <> 'DONE'").await {
            0 => Ok(()),
            open => Err(format!("{open} tasks")),
        }
    })
    .await;
    assert!(rig.shipments.bought.lock().unwrap().is_empty());
    assert_eq!(rig.get(&ret.return_id).await, canceled);
}
