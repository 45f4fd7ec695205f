//! ExceptionService.

use oms_core::{OrderId, PaymentId, Violations, check_free_text};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::exception_service_server::ExceptionService;
use oms_proto::time_to_proto;
use oms_service::{PageToken, fingerprint, page_size, principal, request_id};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::Api;
use super::error::status;
use super::requests::{caller, id, next_page, of_position, optional_id, position, refuse, refused};
use crate::commands::override_exception::{OverrideException, override_exception};
use crate::commands::retry_exception::{RetryException, retry_exception};
use crate::commands::skip_exception::{SkipException, skip_exception};
use crate::domain::ruling::Ruling;
use crate::queries::list_exceptions::{Exception, list_exceptions};

/// Longest note in characters.
const NOTE_LEN_MAX: usize = 500;
/// Longest reference of a provider in characters.
const REFERENCE_LEN_MAX: usize = 200;

#[tonic::async_trait]
impl ExceptionService for Api {
    async fn list_exceptions(
        &self,
        request: Request<pb::ListExceptionsRequest>,
    ) -> Result<Response<pb::ListExceptionsResponse>, Status> {
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let size = page_size(message.page_size, &mut violations);
        refuse(violations)?;
        let token = std::mem::take(&mut message.page_token);
        message.page_size = 0;
        let seal = fingerprint(&message);
        let after = PageToken::decode::<(i64, Uuid)>(&token, &seal)?.and_then(of_position);
        let mut found = list_exceptions(&self.ctx, after, size + 1)
            .await
            .map_err(status)?;
        let next_page_token = next_page(&mut found, size, &seal, |last| {
            position(last.parked_at, last.id)
        });
        Ok(Response::new(pb::ListExceptionsResponse {
            exceptions: found.into_iter().map(exception).collect(),
            next_page_token,
        }))
    }

    async fn retry_exception(
        &self,
        request: Request<pb::RetryExceptionRequest>,
    ) -> Result<Response<pb::RetryExceptionResponse>, Status> {
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        let exception_id = id::<Uuid>(&message.exception_id, "exception_id", &mut violations);
        check_reason(&message.note, &mut violations);
        let (Some(request_id), Some(exception_id)) = (request_id, exception_id) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let caller = caller(principal, request_id, &message);
        let command = RetryException {
            exception_id,
            note: message.note,
        };
        retry_exception(&self.ctx, &caller, &command)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::RetryExceptionResponse {}))
    }

    async fn skip_exception(
        &self,
        request: Request<pb::SkipExceptionRequest>,
    ) -> Result<Response<pb::SkipExceptionResponse>, Status> {
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        let exception_id = id::<Uuid>(&message.exception_id, "exception_id", &mut violations);
        check_reason(&message.note, &mut violations);
        let (Some(request_id), Some(exception_id)) = (request_id, exception_id) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let caller = caller(principal, request_id, &message);
        let command = SkipException {
            exception_id,
            note: message.note,
        };
        skip_exception(&self.ctx, &caller, &command)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::SkipExceptionResponse {}))
    }

    async fn override_exception(
        &self,
        request: Request<pb::OverrideExceptionRequest>,
    ) -> Result<Response<pb::OverrideExceptionResponse>, Status> {
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        let exception_id = id::<Uuid>(&message.exception_id, "exception_id", &mut violations);
        let ruling = ruling(message.ruling, &mut violations);
        let payment_id =
            optional_id::<PaymentId>(&message.payment_id, "payment_id", &mut violations);
        check_reference(ruling, &message.provider_reference, &mut violations);
        check_reason(&message.note, &mut violations);
        let (Some(request_id), Some(exception_id), Some(ruling)) =
            (request_id, exception_id, ruling)
        else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let caller = caller(principal, request_id, &message);
        let command = OverrideException {
            exception_id,
            ruling,
            payment_id,
            provider_reference: message.provider_reference,
            note: message.note,
        };
        override_exception(&self.ctx, &caller, &command)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::OverrideExceptionResponse {}))
    }
}

/// Who says that a provider did something says by which reference; nobody else has one.
fn check_reference(ruling: Option<Ruling>, reference: &str, violations: &mut Violations) {
    let field = "provider_reference";
    check_free_text(reference, field, REFERENCE_LEN_MAX, violations);
    let Some(ruling) = ruling else {
        return;
    };
    let is_confirmed = ruling == Ruling::EffectConfirmed;
    let is_empty = reference.trim().is_empty();
    violations.check(
        !is_confirmed || !is_empty,
        field,
        "FIELD_REQUIRED",
        "must be what the provider calls it",
    );
    violations.check(
        is_confirmed || is_empty,
        field,
        "FIELD_MALFORMED",
        "is only for EFFECT_CONFIRMED",
    );
}

/// Who decides in place of a machine, or has it try again, says why.
fn check_reason(note: &str, violations: &mut Violations) {
    check_free_text(note, "note", NOTE_LEN_MAX, violations);
    violations.check(
        !note.trim().is_empty(),
        "note",
        "FIELD_REQUIRED",
        "must say why",
    );
}

fn ruling(value: i32, violations: &mut Violations) -> Option<Ruling> {
    match pb::ExceptionRuling::try_from(value) {
        Ok(pb::ExceptionRuling::RejectOrder) => Some(Ruling::RejectOrder),
        Ok(pb::ExceptionRuling::StepDone) => Some(Ruling::StepDone),
        Ok(pb::ExceptionRuling::EffectConfirmed) => Some(Ruling::EffectConfirmed),
        Ok(pb::ExceptionRuling::EffectFailed) => Some(Ruling::EffectFailed),
        Ok(pb::ExceptionRuling::Unspecified) => {
            violations.push("ruling", "FIELD_REQUIRED", "must be given");
            None
        }
        Err(_) => {
            violations.push("ruling", "FIELD_UNKNOWN_VALUE", "is not a ruling");
            None
        }
    }
}

fn exception(exception: Exception) -> pb::Exception {
    pb::Exception {
        exception_id: exception.id.to_string(),
        order_id: exception
            .order_id
            .as_ref()
            .map(OrderId::to_string)
            .unwrap_or_default(),
        step: exception.step,
        reason: exception.reason,
        attempts: exception.attempts,
        park_time: Some(time_to_proto(exception.parked_at)),
        supported_actions: exception
            .supported_actions
            .into_iter()
            .map(str::to_owned)
            .collect(),
        payment_ids: exception.in_doubt.iter().map(ToString::to_string).collect(),
    }
}
