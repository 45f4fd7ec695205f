//! `StockService`.

use futures::stream::BoxStream;
use oms_core::{LocationId, Sku, Violations};
use oms_proto::inventory::v1::stock_service_server::StockService;
use oms_proto::inventory::v1::{
    AdjustStockRequest, AdjustStockResponse, BatchGetAvailabilityRequest,
    BatchGetAvailabilityResponse, GetAvailabilityRequest, GetAvailabilityResponse,
    ListLedgerRequest, ListLedgerResponse, MoveStockRequest, MoveStockResponse,
    ReceiveStockRequest, ReceiveStockResponse, SetStockRequest, SetStockResponse,
    VerifyLedgerRequest, VerifyLedgerResponse, WatchAvailabilityRequest, WatchAvailabilityResponse,
};
use oms_service::{ApiError, PageToken};
use tonic::{Request, Response, Status};

use crate::commands::{self, AdjustStock, ReceiveStock};
use crate::domain::level::LevelKey;
use crate::messages;
use crate::queries::{self, LedgerFilter};

use super::error::About;
use super::{Api, availability, call, checks, stock_by_hand, take_request_id};

/// Most units of one correction, either way.
const DELTA_MAX: i64 = oms_core::Quantity::MAX;

#[tonic::async_trait]
impl StockService for Api {
    type WatchAvailabilityStream = BoxStream<'static, Result<WatchAvailabilityResponse, Status>>;

    async fn get_availability(
        &self,
        request: Request<GetAvailabilityRequest>,
    ) -> Result<Response<GetAvailabilityResponse>, Status> {
        let access = oms_service::access(&request);
        let request = request.into_inner();
        let mut violations = Violations::default();
        let sku: Option<Sku> = checks::required("sku", &request.sku, &mut violations);
        let scope = availability::scope(&[], &request.channel_id, &mut violations);
        let Some(sku) = sku.filter(|_| violations.is_empty()) else {
            return Err(ApiError::from(violations).into());
        };
        let scope = scope.within(&access)?;
        let found = queries::get_availability(&self.ctx.db, &sku).await;
        let found = found.map_err(ApiError::from)?;
        let found = found.ok_or_else(|| ApiError::not_found("sku", &sku))?;
        Ok(Response::new(GetAvailabilityResponse {
            levels: scope.levels([&found].into_iter()),
            total: Some(scope.total(&found)),
        }))
    }

    async fn batch_get_availability(
        &self,
        request: Request<BatchGetAvailabilityRequest>,
    ) -> Result<Response<BatchGetAvailabilityResponse>, Status> {
        let access = oms_service::access(&request);
        let request = request.into_inner();
        let mut violations = Violations::default();
        let skus = checks::skus(&request.skus, &mut violations);
        let (ids, channel) = (&request.location_ids, &request.channel_id);
        let scope = availability::scope(ids, channel, &mut violations);
        violations.into_result().map_err(ApiError::from)?;
        let scope = scope.within(&access)?;
        let skus: Vec<Sku> = skus.into_iter().collect();
        let locations = scope.locations.as_ref();
        let found = queries::batch_get_availability(&self.ctx.db, &skus, locations).await;
        let found = found.map_err(ApiError::from)?;
        Ok(Response::new(BatchGetAvailabilityResponse {
            levels: scope.levels(found.iter()),
            totals: found.iter().map(|one| scope.total(one)).collect(),
        }))
    }

    async fn watch_availability(
        &self,
        request: Request<WatchAvailabilityRequest>,
    ) -> Result<Response<Self::WatchAvailabilityStream>, Status> {
        let access = oms_service::access(&request);
        let request = request.into_inner();
        let mut violations = Violations::default();
        let skus = checks::skus(&request.skus, &mut violations);
        let (ids, channel) = (&request.location_ids, &request.channel_id);
        let scope = availability::scope(ids, channel, &mut violations);
        violations.into_result().map_err(ApiError::from)?;
        let scope = scope.within(&access)?;
        let changes = queries::watch_availability(&self.ctx.db, &self.watchers, skus).await;
        let changes = changes.map_err(availability::status)?;
        Ok(Response::new(scope.stream(changes)))
    }

    async fn receive_stock(
        &self,
        request: Request<ReceiveStockRequest>,
    ) -> Result<Response<ReceiveStockResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let receipt = receipt(&request, &mut violations);
        let (Some(request_id), Some(receipt), true) = (request_id, receipt, violations.is_empty())
        else {
            return Err(ApiError::from(violations).into());
        };
        oms_service::check_location(&access, &receipt.location)?;
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
        let access = oms_service::access(&request);
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
        oms_service::check_location(&access, &adjustment.key.location)?;
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

    async fn set_stock(
        &self,
        request: Request<SetStockRequest>,
    ) -> Result<Response<SetStockResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let count = stock_by_hand::count(&request, &mut violations);
        let (Some(request_id), Some(count), true) = (request_id, count, violations.is_empty())
        else {
            return Err(ApiError::from(violations).into());
        };
        oms_service::check_location(&access, &count.key.location)?;
        let call = call(principal, "SetStock", request_id, &request);
        let about = About::request(request_id);
        let set = commands::set_stock(&self.ctx, call, count).await;
        let level = Some(messages::level(&set.map_err(|error| about.status(error))?));
        Ok(Response::new(SetStockResponse { level }))
    }

    async fn move_stock(
        &self,
        request: Request<MoveStockRequest>,
    ) -> Result<Response<MoveStockResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let moved = stock_by_hand::moved(&request, &mut violations);
        let (Some(request_id), Some(moved), true) = (request_id, moved, violations.is_empty())
        else {
            return Err(ApiError::from(violations).into());
        };
        oms_service::check_location(&access, &moved.from.location)?;
        oms_service::check_location(&access, &moved.to.location)?;
        let call = call(principal, "MoveStock", request_id, &request);
        let about = About::request(request_id);
        let moved = commands::move_stock(&self.ctx, call, moved).await;
        let (from, to) = moved.map_err(|error| about.status(error))?;
        Ok(Response::new(MoveStockResponse {
            from: Some(messages::level(&from)),
            to: Some(messages::level(&to)),
        }))
    }

    async fn list_ledger(
        &self,
        request: Request<ListLedgerRequest>,
    ) -> Result<Response<ListLedgerResponse>, Status> {
        let access = oms_service::access(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let size = oms_service::page_size(request.page_size, &mut violations);
        let sku = checks::required("sku", &request.sku, &mut violations);
        let location: Option<LocationId> = match &*request.location_id {
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
        let locations = oms_service::locations(&access, location.as_ref().map(LocationId::as_str))?;
        let filter = LedgerFilter { sku, locations };
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
    let reason = stock_by_hand::correction_reason(&request.reason, violations);
    Some(AdjustStock {
        key: LevelKey {
            sku: sku?,
            location: location?,
            lot,
        },
        delta: request.delta,
        reason,
    })
}
