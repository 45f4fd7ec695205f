//! `SupplyService`.

use oms_core::{LocationId, Sku, Violations};
use oms_proto::inventory::v1::supply_service_server::SupplyService;
use oms_proto::inventory::v1::{
    self as pb, CancelExpectedReceiptRequest, CancelExpectedReceiptResponse,
    GetAvailableToPromiseRequest, GetAvailableToPromiseResponse, ListExpectedReceiptsRequest,
    ListExpectedReceiptsResponse, UpsertExpectedReceiptRequest, UpsertExpectedReceiptResponse,
};
use oms_service::{ApiError, PageToken};
use prost_types::Timestamp;
use time::OffsetDateTime;
use tonic::{Request, Response, Status};

use crate::commands::{self, UpsertExpectedReceipt};
use crate::domain::expected::ExpectedKey;
use crate::messages;
use crate::queries::{self, Position, ReceiptFilter, ToPromise};

use super::error::About;
use super::{Api, availability, call, checks, take_request_id};

/// Longest reference in characters.
const REFERENCE_CHARS_MAX: usize = 100;

const TIMES_MAX: usize = 366;

#[tonic::async_trait]
impl SupplyService for Api {
    async fn upsert_expected_receipt(
        &self,
        request: Request<UpsertExpectedReceiptRequest>,
    ) -> Result<Response<UpsertExpectedReceiptResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let mut found = Violations::default();
        let upsert = request.receipt.as_ref();
        let upsert = upsert.and_then(|given| receipt(given, &mut found));
        if request.receipt.is_none() {
            violations.push("receipt", checks::REQUIRED, "must not be empty");
        }
        violations.extend_under("receipt", found);
        let (Some(request_id), Some(upsert), true) = (request_id, upsert, violations.is_empty())
        else {
            return Err(ApiError::from(violations).into());
        };
        oms_service::check_location(&access, &upsert.key.location)?;
        let call = call(principal, "UpsertExpectedReceipt", request_id, &request);
        let about = About::request(request_id);
        let written = commands::upsert_expected_receipt(&self.ctx, call, upsert).await;
        let written = written.map_err(|error| about.status(error))?;
        let receipt = Some(messages::expected_receipt(&written));
        Ok(Response::new(UpsertExpectedReceiptResponse { receipt }))
    }

    async fn cancel_expected_receipt(
        &self,
        request: Request<CancelExpectedReceiptRequest>,
    ) -> Result<Response<CancelExpectedReceiptResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let (reference, sku) = (&request.reference, &request.sku);
        let key = receipt_key(reference, sku, &request.location_id, &mut violations);
        let etag = oms_service::parse_etag(&request.etag, &mut violations);
        let (Some(request_id), Some(key), true) = (request_id, key, violations.is_empty()) else {
            return Err(ApiError::from(violations).into());
        };
        oms_service::check_location(&access, &key.location)?;
        let call = call(principal, "CancelExpectedReceipt", request_id, &request);
        let about = About::request(request_id);
        let canceled = commands::cancel_expected_receipt(&self.ctx, call, key, etag).await;
        let canceled = canceled.map_err(|error| about.status(error))?;
        let receipt = Some(messages::expected_receipt(&canceled));
        Ok(Response::new(CancelExpectedReceiptResponse { receipt }))
    }

    async fn list_expected_receipts(
        &self,
        request: Request<ListExpectedReceiptsRequest>,
    ) -> Result<Response<ListExpectedReceiptsResponse>, Status> {
        let access = oms_service::access(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let size = oms_service::page_size(request.page_size, &mut violations);
        let (mut filter, location) = filter(&request, &mut violations);
        violations.into_result().map_err(ApiError::from)?;
        filter.locations =
            oms_service::locations(&access, location.as_ref().map(LocationId::as_str))?;
        let token = std::mem::take(&mut request.page_token);
        request.page_size = 0;
        let seal = oms_service::fingerprint(&request);
        let after: Option<Position> = PageToken::decode(&token, &seal)?;
        let page = queries::list_expected_receipts(&self.ctx.db, &filter, after, size).await;
        let page = page.map_err(ApiError::from)?;
        let next = page.next.map(|after| PageToken::encode(&after, &seal));
        Ok(Response::new(ListExpectedReceiptsResponse {
            receipts: page.rows.iter().map(messages::expected_receipt).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn get_available_to_promise(
        &self,
        request: Request<GetAvailableToPromiseRequest>,
    ) -> Result<Response<GetAvailableToPromiseResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        let asked = to_promise(&request, &mut violations);
        let Some(asked) = asked.filter(|_| violations.is_empty()) else {
            return Err(ApiError::from(violations).into());
        };
        let now = self.ctx.clock.now();
        let found = queries::get_available_to_promise(&self.ctx.db, &asked, now).await;
        let found = found.map_err(ApiError::from)?;
        let (promise, backordered) = found.ok_or_else(|| ApiError::not_found("sku", &asked.sku))?;
        let answer = messages::promises(&promise, &asked.times, backordered);
        Ok(Response::new(answer))
    }
}

fn receipt(
    given: &pb::ExpectedReceipt,
    violations: &mut Violations,
) -> Option<UpsertExpectedReceipt> {
    let key = receipt_key(&given.reference, &given.sku, &given.location_id, violations);
    let quantity = checks::units("quantity", given.quantity, violations);
    if given.expect_time.is_none() {
        violations.push("expect_time", checks::REQUIRED, "must not be empty");
    }
    let expected_at = given.expect_time;
    let expected_at = expected_at.and_then(|given| time("expect_time", given, violations));
    let etag = oms_service::parse_etag(&given.etag, violations);
    Some(UpsertExpectedReceipt {
        key: key?,
        quantity,
        expected_at: expected_at?,
        etag,
    })
}

fn receipt_key(
    reference: &str,
    sku: &str,
    location_id: &str,
    violations: &mut Violations,
) -> Option<ExpectedKey> {
    let reference = checks::text("reference", reference, 1..=REFERENCE_CHARS_MAX, violations);
    let sku = checks::required("sku", sku, violations);
    let location = checks::required("location_id", location_id, violations);
    Some(ExpectedKey {
        reference,
        sku: sku?,
        location: location?,
    })
}

/// A time as exact as Postgres keeps it.
fn time(field: &str, given: Timestamp, violations: &mut Violations) -> Option<OffsetDateTime> {
    let read = oms_proto::time_from_proto(given).ok();
    let read = read.and_then(|time| time.replace_nanosecond(time.microsecond() * 1_000).ok());
    if read.is_none() {
        violations.push(field, checks::MALFORMED, "must be a time");
    }
    read
}

/// What to list, and the location that is asked for.
fn filter(
    request: &ListExpectedReceiptsRequest,
    violations: &mut Violations,
) -> (ReceiptFilter, Option<LocationId>) {
    let sku = match &*request.sku {
        "" => None,
        sku => checks::required("sku", sku, violations),
    };
    let location = match &*request.location_id {
        "" => None,
        id => checks::required("location_id", id, violations),
    };
    let reference = match &*request.reference {
        "" => None,
        text => {
            let length = 1..=REFERENCE_CHARS_MAX;
            Some(checks::text("reference", text, length, violations))
        }
    };
    let filter = ReceiptFilter {
        sku,
        locations: None,
        reference,
        include_closed: request.include_closed,
    };
    (filter, location)
}

fn to_promise(
    request: &GetAvailableToPromiseRequest,
    violations: &mut Violations,
) -> Option<ToPromise> {
    let sku: Option<Sku> = checks::required("sku", &request.sku, violations);
    let quantity = checks::units("quantity", request.quantity, violations);
    let channel = availability::channel("channel_id", &request.channel_id, violations);
    let mut times = Vec::with_capacity(request.times.len());
    if checks::count("times", request.times.len(), 0..=TIMES_MAX, violations) {
        for (number, given) in request.times.iter().enumerate() {
            times.extend(time(&format!("times[{number}]"), *given, violations));
        }
    }
    Some(ToPromise {
        sku: sku?,
        quantity,
        channel,
        times,
    })
}
