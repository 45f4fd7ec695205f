//! `StockService.VerifyLedger`.

use std::collections::BTreeSet;

use oms_core::{Sku, Violations};
use oms_proto::inventory::v1::{VerifyLedgerRequest, VerifyLedgerResponse};
use oms_service::ApiError;
use tonic::{Request, Response, Status};

use crate::commands::{self, VerifyLedger};
use crate::messages;

use super::error::About;
use super::{Api, call, checks, take_request_id};

/// Most SKUs that a request may name.
const SKUS_MAX: usize = 1_000;

impl Api {
    pub(super) async fn verify(
        &self,
        request: Request<VerifyLedgerRequest>,
    ) -> Result<Response<VerifyLedgerResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let skus = skus(&request.skus, &mut violations);
        let Some(request_id) = request_id.filter(|_| violations.is_empty()) else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "VerifyLedger", request_id, &request);
        let what = VerifyLedger {
            is_full: request.full,
            skus,
        };
        let verified = commands::verify_ledger(&self.ctx, call, what).await;
        let verified = verified.map_err(|error| {
            About {
                reservation: "",
                request_id,
            }
            .status(error)
        })?;
        Ok(Response::new(VerifyLedgerResponse {
            verification: Some(messages::verification(&verified.run)),
            corrections: verified
                .corrections
                .iter()
                .map(messages::correction)
                .collect(),
        }))
    }
}

/// The SKUs to look at; `None` for all.
fn skus(given: &[String], violations: &mut Violations) -> Option<BTreeSet<Sku>> {
    if given.is_empty() || !checks::count("skus", given.len(), 0..=SKUS_MAX, violations) {
        return None;
    }
    let numbered = given.iter().enumerate();
    let read = numbered
        .filter_map(|(number, sku)| checks::required(&format!("skus[{number}]"), sku, violations));
    Some(read.collect())
}
