//! Items and locations.

use oms_proto::inventory::v1 as pb;

use crate::rig::{EAST, Rig, WEST, answered, id, item, location, refusal};

#[tokio::test]
async fn items_are_created_replaced_and_listed() {
    let rig = Rig::start().await;
    rig.items(&["B", "A", "C"]).await;
    let changed = pb::Item {
        name: "Other".to_owned(),
        barcodes: vec!["NEW-1".to_owned(), "BC-A".to_owned()],
        active: false,
        ..item("A")
    };
    let request = pb::BatchUpsertItemsRequest {
        request_id: id(),
        items: vec![item("D"), changed.clone()],
    };
    let answer = rig
        .api
        .items
        .clone()
        .batch_upsert_items(request)
        .await
        .unwrap()
        .into_inner();
    let versions: Vec<_> = answer
        .items
        .iter()
        .map(|item| (&*item.sku, item.version))
        .collect();
    assert_eq!(versions, [("D", 1), ("A", 2)]);

    let skus = ["A", "X", "B", "A"].map(str::to_owned).to_vec();
    let request = pb::BatchGetItemsRequest { skus };
    let answer = rig
        .api
        .items
        .clone()
        .batch_get_items(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.unknown_skus, ["X"]);
    let found: Vec<_> = answer.items.iter().map(|item| &*item.sku).collect();
    assert_eq!(found, ["A", "B"]);
    assert_eq!(
        (&*answer.items[0].name, answer.items[0].active),
        ("Other", false)
    );
    assert_eq!(answer.items[0].barcodes, ["BC-A", "NEW-1"]);

    let mut request = pb::ListItemsRequest {
        page_size: 3,
        ..Default::default()
    };
    let first = rig
        .api
        .items
        .clone()
        .list_items(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first.items.len(), 3);
    request.page_token = first.next_page_token;
    let last = rig
        .api
        .items
        .clone()
        .list_items(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((&*last.items[0].sku, &*last.next_page_token), ("D", ""));
    rig.audit().await;
}

#[tokio::test]
async fn a_barcode_belongs_to_one_sku() {
    let rig = Rig::start().await;
    rig.items(&["A", "B"]).await;
    let thief = pb::Item {
        barcodes: vec!["BC-A".to_owned()],
        ..item("B")
    };
    let request = pb::BatchUpsertItemsRequest {
        request_id: id(),
        items: vec![item("C"), thief.clone()],
    };
    let refused = answered(rig.api.items.clone().batch_upsert_items(request).await).unwrap_err();
    assert_eq!(refused.violations()[0].field, "items[1].barcodes[0]");
    assert_eq!(refusal::<()>(Err(refused)), "InvalidArgument DUPLICATE");
    // In one request, the barcode may go from one to the other.
    let giver = pb::Item {
        barcodes: Vec::new(),
        ..item("A")
    };
    let request = pb::BatchUpsertItemsRequest {
        request_id: id(),
        items: vec![thief, giver],
    };
    assert!(
        rig.api
            .items
            .clone()
            .batch_upsert_items(request)
            .await
            .is_ok()
    );
    rig.audit().await;
}

#[tokio::test]
async fn locations_are_created_replaced_and_listed() {
    let rig = Rig::start().await;
    let again = rig.location(EAST).await;
    assert_eq!(again.version, 2);
    let request = pb::GetLocationRequest {
        location_id: WEST.to_owned(),
    };
    let found = rig
        .api
        .locations
        .clone()
        .get_location(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        found.location.unwrap(),
        pb::Location {
            version: 1,
            ..location(WEST)
        }
    );
    let request = pb::GetLocationRequest {
        location_id: "nowhere".to_owned(),
    };
    let missing = answered(rig.api.locations.clone().get_location(request).await);
    assert_eq!(refusal(missing), "NotFound NOT_FOUND");

    let mut request = pb::ListLocationsRequest {
        page_size: 1,
        ..Default::default()
    };
    let mut listed = Vec::new();
    loop {
        let page = rig
            .api
            .locations
            .clone()
            .list_locations(request.clone())
            .await
            .unwrap();
        let page = page.into_inner();
        listed.extend(
            page.locations
                .into_iter()
                .map(|location| location.location_id),
        );
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed, [EAST, WEST]);
    rig.audit().await;
}
