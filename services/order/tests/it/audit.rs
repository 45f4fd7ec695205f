//! Who did what: the timeline for people, and the audit log behind it.

use oms_proto::audit::v1 as audit;
use oms_proto::audit::v1::audit_service_client::AuditServiceClient;
use oms_testkit::wait_for;

use crate::rig::{Rig, new_order};

/// How often calls of a method stand in the audit log, chained or not.
pub(crate) async fn audited(rig: &Rig, method: &str) -> i64 {
    let query = format!(
        "SELECT count(*) FROM (SELECT method FROM audit_pending
             UNION ALL SELECT method FROM audit_log WHERE kind = 'CALL') AS calls
         WHERE method = '{method}'"
    );
    rig.count(&query).await
}

#[tokio::test]
async fn the_timeline_and_the_audit_log_name_who_did_each_step() {
    let rig = Rig::start().await;
    let order = rig.place(new_order(&[("A", 2)], "tok_approve")).await;
    let order = rig.until_done(&order.order_id).await;
    let timeline = rig.timeline(&order.order_id).await;
    let actors: Vec<&str> = timeline.iter().map(|entry| entry.actor.as_str()).collect();
    assert_eq!(actors[0], "user:dev");
    assert!(actors[1..].contains(&"service:order"), "{actors:?}");

    let request = audit::ListAuditRequest {
        object_type: "order".to_owned(),
        object_id: order.order_id.clone(),
        page_size: 500,
        ..audit::ListAuditRequest::default()
    };
    let log = AuditServiceClient::new(rig.api.channel.clone());
    let rows = wait_for("every change to be chained", || async {
        let page = log.clone().list_audit(request.clone()).await.unwrap();
        let mut rows = page.into_inner().entries;
        rows.reverse();
        if rows.len() == timeline.len() {
            Ok(rows)
        } else {
            Err(format!("{} of {} rows", rows.len(), timeline.len()))
        }
    })
    .await;
    let mut before: &[u8] = &[];
    for (row, entry) in rows.iter().zip(&timeline) {
        assert_eq!(row.principal, entry.actor, "{row:?}");
        assert_eq!(row.before_hash, before, "{row:?}");
        before = &row.content_hash;
    }
    assert_eq!(rows[0].method, "OrderPlaced");
}
