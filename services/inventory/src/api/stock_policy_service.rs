//! `StockPolicyService`.

use std::collections::{BTreeMap, HashSet};

use oms_core::{ChannelId, LocationId, Quantity, Sku, Violations};
use oms_proto::inventory::v1::stock_policy_service_server::StockPolicyService;
use oms_proto::inventory::v1::{
    self as pb, BatchUpsertStockPoliciesRequest, BatchUpsertStockPoliciesResponse,
    GetStockPolicyRequest, GetStockPolicyResponse, ListStockPoliciesRequest,
    ListStockPoliciesResponse, UpsertStockPolicyRequest, UpsertStockPolicyResponse,
};
use oms_service::{ApiError, PageToken};
use tonic::{Request, Response, Status};

use crate::commands::{self, PolicyWrite};
use crate::domain::policy::{ChannelRule, LocationRule, Policy};
use crate::messages;
use crate::queries;

use super::error::About;
use super::{Api, call, checks, take_request_id};

const POLICIES_MAX: usize = 1_000;
const LOCATIONS_MAX: usize = 1_000;
const CHANNELS_MAX: usize = 100;

#[tonic::async_trait]
impl StockPolicyService for Api {
    async fn upsert_stock_policy(
        &self,
        request: Request<UpsertStockPolicyRequest>,
    ) -> Result<Response<UpsertStockPolicyResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let mut found = Violations::default();
        let write = request.policy.as_ref();
        let write = write.and_then(|given| policy(given, &mut found));
        if request.policy.is_none() {
            violations.push("policy", checks::REQUIRED, "must not be empty");
        }
        violations.extend_under("policy", found);
        let (Some(request_id), Some(write), true) = (request_id, write, violations.is_empty())
        else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "UpsertStockPolicy", request_id, &request);
        let about = About::request(request_id);
        let written = commands::upsert_stock_policy(&self.ctx, call, write).await;
        let written = written.map_err(|error| about.status(error))?;
        let policy = Some(messages::stock_policy(&written));
        Ok(Response::new(UpsertStockPolicyResponse { policy }))
    }

    async fn batch_upsert_stock_policies(
        &self,
        request: Request<BatchUpsertStockPoliciesRequest>,
    ) -> Result<Response<BatchUpsertStockPoliciesResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let writes = policies(&request.policies, &mut violations);
        let Some(request_id) = request_id.filter(|_| violations.is_empty()) else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "BatchUpsertStockPolicies", request_id, &request);
        let about = About::request(request_id);
        let written = commands::batch_upsert_stock_policies(&self.ctx, call, writes).await;
        let written = written.map_err(|error| about.status(error))?;
        let policies = written.iter().map(messages::stock_policy).collect();
        Ok(Response::new(BatchUpsertStockPoliciesResponse { policies }))
    }

    async fn get_stock_policy(
        &self,
        request: Request<GetStockPolicyRequest>,
    ) -> Result<Response<GetStockPolicyResponse>, Status> {
        let mut violations = Violations::default();
        let sku: Option<Sku> = checks::required("sku", &request.get_ref().sku, &mut violations);
        let Some(sku) = sku else {
            return Err(ApiError::from(violations).into());
        };
        let found = queries::get_stock_policy(&self.ctx.db, &sku).await;
        let found = found.map_err(ApiError::from)?;
        let found = found.ok_or_else(|| ApiError::not_found("stock_policy", &sku))?;
        let policy = Some(messages::stock_policy(&found));
        Ok(Response::new(GetStockPolicyResponse { policy }))
    }

    async fn list_stock_policies(
        &self,
        request: Request<ListStockPoliciesRequest>,
    ) -> Result<Response<ListStockPoliciesResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        let size = oms_service::page_size(request.page_size, &mut violations);
        violations.into_result().map_err(ApiError::from)?;
        let seal = oms_service::fingerprint(&ListStockPoliciesRequest::default());
        let after: Option<String> = PageToken::decode(&request.page_token, &seal)?;
        let page = queries::list_stock_policies(&self.ctx.db, after, size).await;
        let page = page.map_err(ApiError::from)?;
        let next = page.next.map(|after| PageToken::encode(&after, &seal));
        Ok(Response::new(ListStockPoliciesResponse {
            policies: page.rows.iter().map(messages::stock_policy).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }
}

fn policies(given: &[pb::StockPolicy], violations: &mut Violations) -> Vec<PolicyWrite> {
    if !checks::count("policies", given.len(), 1..=POLICIES_MAX, violations) {
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut writes = Vec::with_capacity(given.len());
    for (number, one) in given.iter().enumerate() {
        let mut found = Violations::default();
        let write = policy(one, &mut found);
        let is_new = seen.insert(&one.sku);
        found.check(is_new, "sku", checks::DUPLICATE, "stands here twice");
        violations.extend_under(&format!("policies[{number}]"), found);
        writes.extend(write);
    }
    writes
}

fn policy(given: &pb::StockPolicy, violations: &mut Violations) -> Option<PolicyWrite> {
    let sku = checks::required("sku", &given.sku, violations);
    let policy = Policy {
        safety_stock: units("safety_stock", given.safety_stock, violations),
        low_stock_threshold: units("low_stock_threshold", given.low_stock_threshold, violations),
        locations: locations(&given.locations, violations),
        channels: channels(&given.channels, violations),
    };
    let etag = oms_service::parse_etag(&given.etag, violations);
    Some(PolicyWrite {
        sku: sku?,
        policy,
        etag,
    })
}

fn units(field: &str, units: i64, violations: &mut Violations) -> i64 {
    let fits = (0..=Quantity::MAX).contains(&units);
    violations.check(fits, field, "QUANTITY_INVALID", "must be 0 to 1000000000");
    units
}

fn locations(
    given: &[pb::LocationStockPolicy],
    violations: &mut Violations,
) -> BTreeMap<LocationId, LocationRule> {
    let mut rules = BTreeMap::new();
    if !checks::count("locations", given.len(), 0..=LOCATIONS_MAX, violations) {
        return rules;
    }
    for (number, one) in given.iter().enumerate() {
        let mut found = Violations::default();
        let id = checks::required("location_id", &one.location_id, &mut found);
        let threshold = one.low_stock_threshold;
        let rule = LocationRule {
            safety_stock: units("safety_stock", one.safety_stock, &mut found),
            low_stock_threshold: units("low_stock_threshold", threshold, &mut found),
        };
        if let Some(id) = id {
            let is_new = rules.insert(id, rule).is_none();
            found.check(
                is_new,
                "location_id",
                checks::DUPLICATE,
                "stands here twice",
            );
        }
        violations.extend_under(&format!("locations[{number}]"), found);
    }
    rules
}

fn channels(
    given: &[pb::ChannelStockPolicy],
    violations: &mut Violations,
) -> BTreeMap<ChannelId, ChannelRule> {
    let mut rules = BTreeMap::new();
    if !checks::count("channels", given.len(), 0..=CHANNELS_MAX, violations) {
        return rules;
    }
    for (number, one) in given.iter().enumerate() {
        let mut found = Violations::default();
        let id = checks::required("channel_id", &one.channel_id, &mut found);
        let fits = (0..=100).contains(&one.share_percent);
        let message = "must be 1 to 100, or 0 for no cap";
        found.check(fits, "share_percent", checks::OUT_OF_RANGE, message);
        let rule = ChannelRule {
            buffer: units("buffer", one.buffer, &mut found),
            share_percent: match one.share_percent {
                0 => 100,
                percent => i64::from(percent),
            },
        };
        if let Some(id) = id {
            let is_new = rules.insert(id, rule).is_none();
            found.check(is_new, "channel_id", checks::DUPLICATE, "stands here twice");
        }
        violations.extend_under(&format!("channels[{number}]"), found);
    }
    rules
}
