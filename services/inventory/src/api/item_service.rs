//! `ItemService`.

use std::collections::HashSet;

use oms_core::{Quantity, Sku, Violations};
use oms_proto::inventory::v1::item_service_server::ItemService;
use oms_proto::inventory::v1::{
    self as pb, BatchGetItemsRequest, BatchGetItemsResponse, BatchUpsertItemsRequest,
    BatchUpsertItemsResponse, ListItemsRequest, ListItemsResponse,
};
use oms_service::{ApiError, PageToken};
use tonic::{Request, Response, Status};

use crate::commands;
use crate::domain::item::Item;
use crate::domain::kit::Part;
use crate::messages;
use crate::queries;

use super::error::About;
use super::{Api, call, checks, take_request_id};

/// Most barcodes of an item.
const BARCODES_MAX: usize = 20;

/// Most components of a kit.
const COMPONENTS_MAX: usize = 50;

/// Most units of a component in one kit.
const COMPONENT_UNITS_MAX: i64 = 1_000_000;

/// Largest side in millimetres and mass in grams: far more than anything that is stocked.
const MEASURE_MAX: i64 = 1_000_000_000;

#[tonic::async_trait]
impl ItemService for Api {
    async fn batch_upsert_items(
        &self,
        request: Request<BatchUpsertItemsRequest>,
    ) -> Result<Response<BatchUpsertItemsResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let items = items(&request.items, &mut violations);
        let Some(request_id) = request_id.filter(|_| violations.is_empty()) else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "BatchUpsertItems", request_id, &request);
        let written = commands::batch_upsert_items(&self.ctx, call, items)
            .await
            .map_err(|error| {
                About {
                    reservation: "",
                    request_id,
                }
                .status(error)
            })?;
        let items = written.iter().map(messages::item).collect();
        Ok(Response::new(BatchUpsertItemsResponse { items }))
    }

    async fn batch_get_items(
        &self,
        request: Request<BatchGetItemsRequest>,
    ) -> Result<Response<BatchGetItemsResponse>, Status> {
        let mut violations = Violations::default();
        let skus = checks::skus(&request.get_ref().skus, &mut violations);
        violations.into_result().map_err(ApiError::from)?;
        let found = queries::batch_get_items(&self.ctx.db, &skus).await;
        let (items, unknown) = found.map_err(ApiError::from)?;
        Ok(Response::new(BatchGetItemsResponse {
            items: items.iter().map(messages::item).collect(),
            unknown_skus: unknown.into_iter().map(String::from).collect(),
        }))
    }

    async fn list_items(
        &self,
        request: Request<ListItemsRequest>,
    ) -> Result<Response<ListItemsResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        let size = oms_service::page_size(request.page_size, &mut violations);
        violations.into_result().map_err(ApiError::from)?;
        let filter = oms_service::fingerprint(&ListItemsRequest::default());
        let after: Option<String> = PageToken::decode(&request.page_token, &filter)?;
        let page = queries::list_items(&self.ctx.db, after, size)
            .await
            .map_err(ApiError::from)?;
        let next = page.next.map(|after| PageToken::encode(&after, &filter));
        Ok(Response::new(ListItemsResponse {
            items: page.rows.iter().map(messages::item).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }
}

fn items(items: &[pb::Item], violations: &mut Violations) -> Vec<Item> {
    if !checks::count("items", items.len(), 1..=1_000, violations) {
        return Vec::new();
    }
    let mut skus = HashSet::new();
    let mut barcodes = HashSet::new();
    let mut read = Vec::with_capacity(items.len());
    for (number, given) in items.iter().enumerate() {
        let mut found = Violations::default();
        let sku: Option<Sku> = checks::required("sku", &given.sku, &mut found);
        found.check(
            skus.insert(&given.sku),
            "sku",
            checks::DUPLICATE,
            "stands here twice",
        );
        read.extend(item(sku, given, &mut barcodes, &mut found));
        violations.extend_under(&format!("items[{number}]"), found);
    }
    read
}

/// Reads an item; `seen` holds the barcodes of the request so far.
fn item<'a>(
    sku: Option<Sku>,
    given: &'a pb::Item,
    seen: &mut HashSet<&'a str>,
    violations: &mut Violations,
) -> Option<Item> {
    let name = checks::text("name", given.name.trim(), 1..=200, violations);
    let mut barcodes = Vec::new();
    if checks::count(
        "barcodes",
        given.barcodes.len(),
        0..=BARCODES_MAX,
        violations,
    ) {
        for (place, barcode) in given.barcodes.iter().enumerate() {
            let field = format!("barcodes[{place}]");
            let prints = barcode.bytes().all(|byte| byte.is_ascii_graphic());
            let fits = (1..=64).contains(&barcode.len());
            let message = "must be 1 to 64 visible ASCII characters";
            violations.check(prints && fits, &field, checks::MALFORMED, message);
            violations.check(
                seen.insert(barcode),
                field,
                checks::DUPLICATE,
                "stands here twice",
            );
            barcodes.push(barcode.clone());
        }
    }
    barcodes.sort_unstable();
    let size = given.dimensions.unwrap_or_default();
    for (field, measure) in [
        ("dimensions.length_mm", size.length_mm),
        ("dimensions.width_mm", size.width_mm),
        ("dimensions.height_mm", size.height_mm),
        ("mass_grams", given.mass_grams),
    ] {
        let fits = (0..=MEASURE_MAX).contains(&measure);
        violations.check(fits, field, checks::OUT_OF_RANGE, "must be 0 to 1000000000");
    }
    let parts = parts(given, violations);
    if let Some(most) = given.backorder_max {
        let fits = (0..=Quantity::MAX).contains(&most);
        let message = "must be 0 to 1000000000";
        violations.check(fits, "backorder_max", checks::OUT_OF_RANGE, message);
    }
    let available_from = checks::time("available_from_time", given.available_from_time, violations);
    for (field, is_given) in [
        ("backorder_max", given.backorder_max.is_some()),
        ("available_from_time", given.available_from_time.is_some()),
    ] {
        let fits = given.components.is_empty() || !is_given;
        let message = "a kit has none: its components have";
        violations.check(fits, field, checks::MALFORMED, message);
    }
    Some(Item {
        sku: sku?,
        name,
        barcodes,
        dimensions_mm: [size.length_mm, size.width_mm, size.height_mm],
        mass_grams: given.mass_grams,
        active: given.active,
        parts,
        backorder_max: given.backorder_max,
        available_from,
        version: 0,
    })
}

fn parts(given: &pb::Item, violations: &mut Violations) -> Vec<Part> {
    let len = given.components.len();
    if !checks::count("components", len, 0..=COMPONENTS_MAX, violations) {
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut parts = Vec::with_capacity(len);
    for (place, component) in given.components.iter().enumerate() {
        let field = |name: &str| format!("components[{place}].{name}");
        let sku: Option<Sku> = checks::required(&field("sku"), &component.sku, violations);
        let is_new = seen.insert(&component.sku);
        violations.check(is_new, field("sku"), checks::DUPLICATE, "stands here twice");
        let message = "a kit is not made of itself";
        violations.check(
            component.sku != given.sku,
            field("sku"),
            "KIT_NESTED",
            message,
        );
        let fits = (1..=COMPONENT_UNITS_MAX).contains(&component.quantity);
        let message = "must be 1 to 1000000";
        violations.check(fits, field("quantity"), "QUANTITY_INVALID", message);
        parts.extend(sku.map(|sku| Part {
            sku,
            quantity: component.quantity,
        }));
    }
    parts
}
