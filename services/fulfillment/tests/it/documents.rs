//! Pick list and packing slip.

use oms_proto::fulfillment::v1 as pb;

use crate::rig::{RECIPIENT, Rig, STREET, id, ok};

#[tokio::test]
async fn a_pick_list_has_a_code_per_line() {
    let rig = Rig::start().await;
    rig.order(&[("A", 2), ("B", 1)]).await;
    let list = rig.released().await;
    let request = pb::GetPickListDocumentRequest {
        pick_list_id: list.pick_list_id.clone(),
    };
    let answer = rig
        .documents
        .clone()
        .get_pick_list_document(request)
        .await
        .unwrap();
    let document = answer.into_inner().document.unwrap();
    assert_eq!(document.media_type, "application/pdf");
    let text = String::from_utf8_lossy(&document.content);
    assert!(text.starts_with("%PDF-"));
    for shown in ["0-A", "0-B", "Thing A", "WEB-100042", "Tote 1"] {
        assert!(text.contains(shown), "{shown} is missing");
    }
    let unknown = pb::GetPickListDocumentRequest { pick_list_id: id() };
    let error = ok(rig.documents.clone().get_pick_list_document(unknown).await).unwrap_err();
    assert_eq!(error.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_packing_slip_fetches_the_address_and_nobody_keeps_it() {
    let rig = Rig::start().await;
    let order = rig.picked(&[("A", 2)]).await;
    let session = rig.packed(&order.fulfillment_order_id, &[("A", 2)]).await;
    let request = pb::GetPackingSlipRequest {
        pack_session_id: session.pack_session_id,
    };
    let answer = rig
        .documents
        .clone()
        .get_packing_slip(request.clone())
        .await
        .unwrap();
    let document = answer.into_inner().document.unwrap();
    let text = String::from_utf8_lossy(&document.content);
    for shown in [RECIPIENT, STREET, "Las Vegas", "Thing A", "WEB-100042"] {
        assert!(text.contains(shown), "{shown} is missing");
    }
    let asked = rig.peers.world.lock().unwrap().asked.clone();
    assert_eq!(asked, [order.destination.unwrap().address_id]);

    let mut conn = rig.db.connect().await;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
            .fetch_all(&mut conn)
            .await
            .unwrap();
    for table in tables {
        let query = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t");
        let rows: String = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&mut conn)
            .await
            .unwrap();
        assert!(
            !rows.contains(RECIPIENT) && !rows.contains(STREET),
            "{table}"
        );
    }

    rig.peers.world.lock().unwrap().address = None;
    let error = ok(rig.documents.clone().get_packing_slip(request).await).unwrap_err();
    assert_eq!(error.code(), tonic::Code::Unavailable);
}
