//! `StockService`.

use std::collections::BTreeSet;

use oms_core::{LocationId, Sku, Violations};
use oms_proto::inventory::v1::stock_service_server::StockService;
use oms_proto::inventory::v1::{
    AdjustStockRequest, AdjustStockResponse, BatchGetAvailabilityRequest,
    BatchGetAvailabilityResponse, ListLedgerRequest, ListLedgerResponse, ReceiveStockRequest,
    ReceiveStockResponse, VerifyLedgerRequest, VerifyLedgerResponse,
};
use oms_service::{ApiError, PageToken};
use tonic::{Request, Response, Status};

use crate::commands::{self, AdjustStock, ReceiveStock};
use crate::domain::level::LevelKey;
use crate::messages;
use crate::queries::{self, LedgerFilter};

use super::error::About;
use super::{Api, call, checks, take_request_id};

/// Why free stock may be corrected by hand.
const ADJUST_REASONS: [&str; 9] = [
    "LOST",
    "STOLEN",
    "FOUND",
    "DAMAGED",
    "SAMPLE",
    "MIS_SHIP_ORDERED",
    "MIS_SHIP_SHIPPED",
    "EXPIRED",
    "OTHER",
];

/// Most units of one correction, either way.
const DELTA_MAX: i64 = oms_core::Quantity::MAX;

#[tonic::async_trait]
impl StockService for Api {
    async fn batch_get_availability(
        &self,
        request: Request<BatchGetAvailabilityRequest>,
    ) -> Result<Response<BatchGetAvailabilityResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        let skus = checks::skus(&request.skus, &mut violations);
        let ids = &request.location_ids;
        let locations = checks::locations("location_ids", ids, 0..=1_000, &mut violations);
        violations.into_result().map_err(ApiError::from)?;
        let skus: Vec<Sku> = skus.into_iter().collect();
        let locations: BTreeSet<LocationId> = locations.into_iter().collect();
        let levels = queries::batch_get_availability(&self.ctx.db, &skus, &locations).await;
        let levels = levels
            .map_err(ApiError::from)?
            .iter()
            .map(messages::level)
            .collect();
        Ok(Response::new(BatchGetAvailabilityResponse { levels }))
    }

    async fn receive_stock(
        &self,
        request: Request<ReceiveStockRequest>,
    ) -> Result<Response<ReceiveStockResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let receipt = receipt(&request, &mut violations);
        let (Some(request_id), Some(receipt), true) = (request_id, receipt, violations.is_empty())
        else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "ReceiveStock", request_id, &request);
        let levels = commands::receive_stock(&self.ctx, call, receipt)
            .await
            .map_err(|error| {
                About {
                    reservation: "",
                    request_id,
                }
                .status(error)
            })?;
        let levels = levels.iter().map(messages::level).collect();
        Ok(Response::new(ReceiveStockResponse { levels }))
    }

    async fn adjust_stock(
        &self,
        request: Request<AdjustStockRequest>,
    ) -> Result<Response<AdjustStockResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let adjustment = adjustment(&request, &mut violations);
        let (Some(request_id), Some(adjustment), true) =
            (request_id, adjustment, violations.is_empty())
        else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "AdjustStock", request_id, &request);
        let level = commands::adjust_stock(&self.ctx, call, adjustment)
            .await
            .map_err(|error| {
                About {
                    reservation: "",
                    request_id,
                }
                .status(error)
            })?;
        let level = Some(messages::level(&level));
        Ok(Response::new(AdjustStockResponse { level }))
    }

    async fn list_ledger(
        &self,
        request: Request<ListLedgerRequest>,
    ) -> Result<Response<ListLedgerResponse>, Status> {
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let size = oms_service::page_size(request.page_size, &mut violations);
        let sku = checks::required("sku", &request.sku, &mut violations);
        let location = match &*request.location_id {
            "" => None,
            id => checks::required("location_id", id, &mut violations),
        };
        let Some(sku) = sku.filter(|_| violations.is_empty()) else {
            return Err(ApiError::from(violations).into());
        };
        let token = std::mem::take(&mut request.page_token);
        request.page_size = 0;
        let seal = oms_service::fingerprint(&request);
        let before: Option<i64> = PageToken::decode(&token, &seal)?;
        let filter = LedgerFilter { sku, location };
        let page = queries::list_ledger(&self.ctx.db, &filter, before, size).await;
        let page = page.map_err(ApiError::from)?;
        let entries = page.rows.iter().map(|booked| {
            messages::ledger_entry(booked.entry_id, &booked.entry, booked.created_at)
        });
        let next = page.next.map(|before| PageToken::encode(&before, &seal));
        Ok(Response::new(ListLedgerResponse {
            entries: entries.collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn verify_ledger(
        &self,
        request: Request<VerifyLedgerRequest>,
    ) -> Result<Response<VerifyLedgerResponse>, Status> {
        self.verify(request).await
    }
}

fn receipt(request: &ReceiveStockRequest, violations: &mut Violations) -> Option<ReceiveStock> {
    let location = checks::required("location_id", &request.location_id, violations);
    let reference = checks::text("reference", &request.reference, 0..=100, violations);
    let mut lines = Vec::with_capacity(request.lines.len());
    if checks::count("lines", request.lines.len(), 1..=1_000, violations) {
        for (number, line) in request.lines.iter().enumerate() {
            let mut found = Violations::default();
            let sku: Option<Sku> = checks::required("sku", &line.sku, &mut found);
            let units = checks::units("quantity", line.quantity, &mut found);
            let lot = checks::lot("lot", &line.lot, &mut found);
            violations.extend_under(&format!("lines[{number}]"), found);
            lines.extend(sku.map(|sku| (sku, lot, units)));
        }
    }
    Some(ReceiveStock {
        location: location?,
        lines,
        reference,
    })
}

fn adjustment(request: &AdjustStockRequest, violations: &mut Violations) -> Option<AdjustStock> {
    let sku = checks::required("sku", &request.sku, violations);
    let location = checks::required("location_id", &request.location_id, violations);
    let lot = checks::lot("lot", &request.lot, violations);
    let fits = request.delta != 0 && (-DELTA_MAX..=DELTA_MAX).contains(&request.delta);
    let message = "must be -1000000000 to 1000000000 and not zero";
    violations.check(fits, "delta", "QUANTITY_INVALID", message);
    if request.reason.is_empty() {
        violations.push("reason", checks::REQUIRED, "must not be empty");
    } else {
        let is_known = ADJUST_REASONS.contains(&&*request.reason);
        let message = format!("must be one of {}", ADJUST_REASONS.join(", "));
        violations.check(is_known, "reason", checks::MALFORMED, message);
    }
    Some(AdjustStock {
        key: LevelKey {
            sku: sku?,
            location: location?,
            lot,
        },
        delta: request.delta,
        reason: request.reason.clone(),
    })
}
