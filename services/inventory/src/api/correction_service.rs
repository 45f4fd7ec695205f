//! `CorrectionService`.

use oms_core::{Sku, Violations};
use oms_proto::inventory::v1::correction_service_server::CorrectionService;
use oms_proto::inventory::v1::{
    self as pb, ApproveCorrectionRequest, ApproveCorrectionResponse, ListCorrectionsRequest,
    ListCorrectionsResponse, RejectCorrectionRequest, RejectCorrectionResponse,
};
use oms_service::{ApiError, PageToken};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::commands::{self, ApproveCorrection, RejectCorrection};
use crate::domain::books::Resolution;
use crate::domain::correction::CorrectionState;
use crate::messages;
use crate::queries;

use super::error::About;
use super::{Api, call, checks, take_request_id};

/// Most characters of a note.
const NOTE_CHARS_MAX: usize = 500;

#[tonic::async_trait]
impl CorrectionService for Api {
    async fn list_corrections(
        &self,
        request: Request<ListCorrectionsRequest>,
    ) -> Result<Response<ListCorrectionsResponse>, Status> {
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let size = oms_service::page_size(request.page_size, &mut violations);
        let state = state(request.state, &mut violations);
        let sku: Option<Sku> = match &*request.sku {
            "" => None,
            sku => checks::required("sku", sku, &mut violations),
        };
        violations.into_result().map_err(ApiError::from)?;
        let token = std::mem::take(&mut request.page_token);
        request.page_size = 0;
        let seal = oms_service::fingerprint(&request);
        let before: Option<Uuid> = PageToken::decode(&token, &seal)?;
        let page = queries::list_corrections(&self.ctx.db, state, sku.as_ref(), before, size).await;
        let page = page.map_err(ApiError::from)?;
        let next = page.next.map(|before| PageToken::encode(&before, &seal));
        Ok(Response::new(ListCorrectionsResponse {
            corrections: page.rows.iter().map(messages::correction).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn approve_correction(
        &self,
        request: Request<ApproveCorrectionRequest>,
    ) -> Result<Response<ApproveCorrectionResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let id = checks::required("correction_id", &request.correction_id, &mut violations);
        let version = oms_service::parse_etag(&request.etag, &mut violations);
        let resolution = resolution(request.resolution, &mut violations);
        let note = checks::free_text("note", &request.note, 0..=NOTE_CHARS_MAX, &mut violations);
        let (Some(request_id), Some(id), true) = (request_id, id, violations.is_empty()) else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "ApproveCorrection", request_id, &request);
        let approve = ApproveCorrection {
            id,
            version,
            resolution,
            note,
        };
        let approved = commands::approve_correction(&self.ctx, call, approve).await;
        let approved = approved.map_err(|error| about(request_id).status(error))?;
        Ok(Response::new(ApproveCorrectionResponse {
            correction: Some(messages::correction(&approved)),
        }))
    }

    async fn reject_correction(
        &self,
        request: Request<RejectCorrectionRequest>,
    ) -> Result<Response<RejectCorrectionResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let id = checks::required("correction_id", &request.correction_id, &mut violations);
        let version = oms_service::parse_etag(&request.etag, &mut violations);
        let note = checks::free_text("note", &request.note, 1..=NOTE_CHARS_MAX, &mut violations);
        let (Some(request_id), Some(id), true) = (request_id, id, violations.is_empty()) else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "RejectCorrection", request_id, &request);
        let reject = RejectCorrection { id, version, note };
        let rejected = commands::reject_correction(&self.ctx, call, reject).await;
        let rejected = rejected.map_err(|error| about(request_id).status(error))?;
        Ok(Response::new(RejectCorrectionResponse {
            correction: Some(messages::correction(&rejected)),
        }))
    }
}

/// Errors of corrections name the correction themselves.
fn about(request_id: Uuid) -> About<'static> {
    About {
        reservation: "",
        request_id,
    }
}

/// The state to list; `None` for all.
fn state(given: i32, violations: &mut Violations) -> Option<CorrectionState> {
    match pb::CorrectionState::try_from(given) {
        Ok(pb::CorrectionState::Unspecified) => None,
        Ok(pb::CorrectionState::Proposed) => Some(CorrectionState::Proposed),
        Ok(pb::CorrectionState::Approved) => Some(CorrectionState::Approved),
        Ok(pb::CorrectionState::Rejected) => Some(CorrectionState::Rejected),
        Ok(pb::CorrectionState::Stale) => Some(CorrectionState::Stale),
        Err(_) => {
            violations.push("state", checks::MALFORMED, "is not known");
            None
        }
    }
}

/// The resolution that is chosen; `None` for the proposed one.
fn resolution(given: i32, violations: &mut Violations) -> Option<Resolution> {
    match pb::CorrectionResolution::try_from(given) {
        Ok(pb::CorrectionResolution::Unspecified) => None,
        Ok(pb::CorrectionResolution::FollowLedger) => Some(Resolution::FollowLedger),
        Ok(pb::CorrectionResolution::KeepLevel) => Some(Resolution::KeepLevel),
        Err(_) => {
            violations.push("resolution", checks::MALFORMED, "is not known");
            None
        }
    }
}
