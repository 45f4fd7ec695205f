//! Labels: what is on them, who keeps the address, voiding and buying again.

use std::sync::atomic::Ordering;

use oms_proto::common::v1::{DocumentFormat, ErrorReason};
use oms_proto::shipping::v1 as pb;
use tonic::Code;

use crate::rig::{RECIPIENT, Rig, STREET, ok, return_shipment, types};

fn contains(content: &[u8], text: &str) -> bool {
    content
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_label_shows_both_ends_and_every_package() {
    let rig = Rig::start().await;
    let shipment = rig.labeled(2).await;
    let pdf = rig
        .document(&shipment.shipment_id, DocumentFormat::Pdf)
        .await
        .unwrap();
    assert_eq!(pdf.media_type, "application/pdf");
    assert!(pdf.content.starts_with(b"%PDF-"));
    let zpl = rig
        .document(&shipment.shipment_id, DocumentFormat::Zpl)
        .await
        .unwrap();
    for text in [
        RECIPIENT,
        STREET,
        "New York, NY 10001",
        "Columbus Distribution Center",
        "WEB-100042",
    ] {
        assert!(contains(&pdf.content, text), "{text} is not in the PDF");
        assert!(contains(&zpl.content, text), "{text} is not in the ZPL");
    }
    for package in &shipment.packages {
        assert!(contains(
            &zpl.content,
            &format!("^FD{}^FS", package.tracking_number)
        ));
    }
    let again = rig
        .document(&shipment.shipment_id, DocumentFormat::Pdf)
        .await
        .unwrap();
    assert_eq!(again.content, pdf.content);

    let request = pb::GetLabelRequest {
        shipment_id: shipment.shipment_id.clone(),
        package_id: shipment.packages[1].package_id.clone(),
        format: DocumentFormat::Zpl.into(),
    };
    let one = ok(rig.shipments.clone().get_label(request).await)
        .unwrap()
        .document
        .unwrap();
    assert!(contains(
        &one.content,
        &shipment.packages[1].tracking_number
    ));
    assert!(!contains(
        &one.content,
        &shipment.packages[0].tracking_number
    ));
}

#[tokio::test]
async fn the_address_stays_with_the_order_service() {
    let rig = Rig::start().await;
    let shipment = rig.labeled(1).await;
    rig.document(&shipment.shipment_id, DocumentFormat::Pdf)
        .await
        .unwrap();
    rig.confirm_ship(&shipment.shipment_id).await.unwrap();
    rig.events(&shipment.shipment_id, 3).await;

    let mut conn = rig.conn().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert!(tables.len() > 12, "{tables:?}");
    for table in tables {
        // bytea is shown as hexadecimal, so each row is searched as text and as bytes.
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT t::text FROM {table} t"
        )))
        .fetch_all(&mut conn)
        .await
        .unwrap();
        for personal in [RECIPIENT, STREET, "philippa@example.com", "555 0199"] {
            let hex = personal
                .bytes()
                .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            let found = rows
                .iter()
                .find(|row| row.contains(personal) || row.contains(&hex));
            assert_eq!(found, None, "{personal} is stored in {table}");
        }
    }
}

#[tokio::test]
async fn without_the_order_service_only_labels_cannot_be_printed() {
    let rig = Rig::start().await;
    let shipment = rig.labeled(1).await;
    rig.peers.orders_down.store(true, Ordering::Relaxed);
    let error = rig
        .document(&shipment.shipment_id, DocumentFormat::Pdf)
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.reason()),
        (Code::Unavailable, Some(ErrorReason::Unavailable))
    );
    rig.confirm_ship(&shipment.shipment_id).await.unwrap();
}

#[tokio::test]
async fn a_voided_label_is_void_and_the_next_one_is_another() {
    let rig = Rig::start().await;
    let first = rig.labeled(1).await;
    let voided = rig.void_label(&first.shipment_id).await.unwrap();
    assert_eq!(voided.state(), pb::ShipmentState::Draft);
    assert_eq!(voided.label_state(), pb::LabelState::Voided);
    assert_eq!((voided.carrier_id.as_str(), &voided.cost), ("", &None));
    assert_eq!(voided.packages[0].tracking_number, "");
    let error = rig
        .document(&first.shipment_id, DocumentFormat::Pdf)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::NotFound);

    let second = rig.buy_label(&first.shipment_id).await.unwrap();
    assert_eq!(second.state(), pb::ShipmentState::Labeled);
    let (old, new) = (
        &first.packages[0].tracking_number,
        &second.packages[0].tracking_number,
    );
    assert_ne!(old, new);

    // The carrier reports about the old number all the same: history, and nothing moves.
    let late = rig
        .scan(old, pb::TrackingStatus::InTransit, 1)
        .await
        .unwrap();
    assert!(!late.event.unwrap().applied);
    assert_eq!(late.shipment.unwrap().state(), pb::ShipmentState::Labeled);
    rig.scan(new, pb::TrackingStatus::InTransit, 1)
        .await
        .unwrap();
    let events = rig.events(&first.shipment_id, 6).await;
    let expected = [
        "ShipmentCreated",
        "LabelPurchased",
        "LabelVoided",
        "LabelPurchased",
        "ShipmentShipped",
        "PackageTracked",
    ];
    assert_eq!(types(&events), expected);
}

#[tokio::test]
async fn a_return_travels_the_other_way() {
    let rig = Rig::start().await;
    let request = return_shipment(&rig.address());
    let mut client = rig.shipments.clone();
    let created = ok(client.create_shipment(request.clone()).await)
        .unwrap()
        .shipment
        .unwrap();
    assert_eq!(created.shipment_id, request.shipment_id);
    assert_eq!(created.direction(), pb::ShipmentDirection::Return);
    assert_eq!(created.state(), pb::ShipmentState::Draft);
    let bought = rig.buy_label(&created.shipment_id).await.unwrap();
    assert_eq!(bought.carrier_service, "GROUND");
    let zpl = rig
        .document(&created.shipment_id, DocumentFormat::Zpl)
        .await
        .unwrap();
    let zpl = String::from_utf8(zpl.content).unwrap();
    assert!(zpl.contains("RETURN  GROUND"), "{zpl}");
    let (from, to) = (
        zpl.find("^FDFROM").unwrap(),
        zpl.find("^FDSHIP TO").unwrap(),
    );
    let customer = zpl.find(RECIPIENT).unwrap();
    assert!(from < customer && customer < to && to < zpl.find("Columbus").unwrap());
    let scanned = rig.scan(
        &bought.packages[0].tracking_number,
        pb::TrackingStatus::InTransit,
        1,
    );
    assert_eq!(
        scanned.await.unwrap().shipment.unwrap().state(),
        pb::ShipmentState::Shipped
    );
}
