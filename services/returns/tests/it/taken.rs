//! No unit is in two returns.

use std::sync::atomic::Ordering;

use oms_proto::common::v1::ErrorReason;
use oms_proto::returns::v1::RefundTiming;
use oms_service::PeerError;
use tonic::Code;

use crate::rig::Rig;

fn not_returnable(error: &PeerError) -> Vec<(&str, &str)> {
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    assert_eq!(error.reason(), Some(ErrorReason::NotReturnable));
    error
        .violations()
        .iter()
        .map(|v| (v.field.as_str(), v.reason.as_str()))
        .collect()
}

#[tokio::test]
async fn of_two_that_want_the_last_units_one_gets_them() {
    let rig = Rig::start().await;
    for _ in 0..10 {
        let order = rig.shipped(&[3]);
        let want = || rig.request(&order, &[2], RefundTiming::OnInspection);
        let (one, two) = tokio::join!(want(), want());
        let (won, lost): (Vec<_>, Vec<_>) = [one, two].into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 1), "{won:?} {lost:?}");
        let error = lost.into_iter().next().unwrap().unwrap_err();
        assert_eq!(
            not_returnable(&error),
            [("lines[0].quantity", "NOT_RETURNABLE")]
        );
        assert_eq!(error.metadata("returnable"), Some("1"));
    }
    assert_eq!(rig.rows("returns").await, 10);
    assert_eq!(rig.told().await, 10);
    assert_eq!(rig.rows("idempotency").await, 10);
}

#[tokio::test]
async fn more_than_was_shipped_is_refused_line_by_line() {
    let rig = Rig::start().await;
    let order = rig.shipped(&[1, 0, 5]);
    let error = rig
        .request(&order, &[2, 1, 5], RefundTiming::OnInspection)
        .await
        .unwrap_err();
    assert_eq!(
        not_returnable(&error),
        [
            ("lines[0].quantity", "NOT_RETURNABLE"),
            ("lines[1].quantity", "NOT_RETURNABLE")
        ]
    );
    assert_eq!(rig.rows("returns").await, 0);
}

#[tokio::test]
async fn units_of_a_return_that_was_declined_or_canceled_are_free_again() {
    let rig = Rig::start().await;
    let order = rig.shipped(&[2]);
    let request = || async { rig.request(&order, &[2], RefundTiming::OnInspection).await };
    let first = request().await.unwrap();
    not_returnable(&request().await.unwrap_err());
    let declined = rig.decline(&first).await.unwrap();
    assert_eq!(declined.reason, "too late");
    let second = request().await.unwrap();
    rig.cancel(&second).await.unwrap();
    let third = request().await.unwrap();
    rig.authorize(&third).await.unwrap();
    rig.receive(&third, &[2]).await.unwrap();
    not_returnable(&request().await.unwrap_err());
}

#[tokio::test]
async fn when_order_is_away_nothing_is_promised() {
    let rig = Rig::start().await;
    let order = rig.shipped(&[2]);
    rig.orders.down.store(true, Ordering::Relaxed);
    let error = rig
        .request(&order, &[2], RefundTiming::OnInspection)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(error.reason(), Some(ErrorReason::Unavailable));
    assert_eq!(error.metadata("peer"), Some("order"));
    assert_eq!(rig.rows("returns").await, 0);
}
