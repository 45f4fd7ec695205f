//! `oms.returns.v1.ReturnService`.

use oms_core::{Access, OrderId, ReturnId, Violations};
use oms_proto::returns::v1 as proto;
use oms_proto::returns::v1::return_service_server::ReturnService;
use oms_service::{ApiError, PageToken, fingerprint, page_size, principal};
use time::OffsetDateTime;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::commands;
use crate::ctx::Ctx;
use crate::messages;
use crate::queries::{self, Filter};

use super::error::status;
use super::read;

/// The gRPC service over the commands and queries.
#[derive(Clone)]
pub(crate) struct ReturnApi {
    ctx: Ctx,
}

impl ReturnApi {
    /// The service with what it works on.
    pub(crate) fn new(ctx: Ctx) -> Self {
        Self { ctx }
    }

    /// Refuses a return at another location in the words for one that does not exist. A return stays where it was
    /// sent to, so that what is found here still holds when the command runs.
    async fn within(&self, access: &Access, id: ReturnId) -> Result<(), Status> {
        if access.locations.is_all() {
            return Ok(());
        }
        let found = queries::get_return(&self.ctx, id).await.map_err(status)?;
        if found.is_some_and(|ret| access.locations.permits(ret.location_id.as_str())) {
            return Ok(());
        }
        Err(ApiError::not_found("return", id).into())
    }
}

/// The request with its request id cleared, for the fingerprint, and the request id.
fn split_id<M: Clone>(message: &M, id: fn(&mut M) -> &mut String) -> (M, String) {
    let mut cleared = message.clone();
    let taken = std::mem::take(id(&mut cleared));
    (cleared, taken)
}

#[tonic::async_trait]
impl ReturnService for ReturnApi {
    async fn request_return(
        &self,
        request: Request<proto::RequestReturnRequest>,
    ) -> Result<Response<proto::RequestReturnResponse>, Status> {
        let principal = principal(&request);
        let (message, id) = split_id(request.get_ref(), |m| &mut m.request_id);
        let mut violations = Violations::default();
        let call = read::call(principal, "RequestReturn", &id, &message, &mut violations);
        let new = read::new_return(&message, &self.ctx.policy, &mut violations);
        violations.into_result().map_err(ApiError::from)?;
        let (Some(call), Some(new)) = (call, new) else {
            return Err(ApiError::internal("a request was refused without a violation").into());
        };
        let ret = commands::request_return(&self.ctx, &call, &new)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::RequestReturnResponse {
            return_order: Some(messages::ret(&ret)),
        }))
    }

    async fn authorize_return(
        &self,
        request: Request<proto::AuthorizeReturnRequest>,
    ) -> Result<Response<proto::AuthorizeReturnResponse>, Status> {
        let principal = principal(&request);
        let (message, id) = split_id(request.get_ref(), |m| &mut m.request_id);
        let mut violations = Violations::default();
        let call = read::call(principal, "AuthorizeReturn", &id, &message, &mut violations);
        let head = read::head(call, &message.return_id, &message.etag, violations)?;
        let ret = commands::authorize_return(&self.ctx, &head.call, head.return_id, head.etag)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::AuthorizeReturnResponse {
            return_order: Some(messages::ret(&ret)),
        }))
    }

    async fn decline_return(
        &self,
        request: Request<proto::DeclineReturnRequest>,
    ) -> Result<Response<proto::DeclineReturnResponse>, Status> {
        let principal = principal(&request);
        let (message, id) = split_id(request.get_ref(), |m| &mut m.request_id);
        let mut violations = Violations::default();
        let call = read::call(principal, "DeclineReturn", &id, &message, &mut violations);
        read::text(&message.reason, "reason", 1..=200, &mut violations);
        let head = read::head(call, &message.return_id, &message.etag, violations)?;
        let reason = &message.reason;
        let ret =
            commands::decline_return(&self.ctx, &head.call, head.return_id, head.etag, reason)
                .await
                .map_err(status)?;
        Ok(Response::new(proto::DeclineReturnResponse {
            return_order: Some(messages::ret(&ret)),
        }))
    }

    async fn issue_return_label(
        &self,
        request: Request<proto::IssueReturnLabelRequest>,
    ) -> Result<Response<proto::IssueReturnLabelResponse>, Status> {
        let principal = principal(&request);
        let (message, id) = split_id(request.get_ref(), |m| &mut m.request_id);
        let mut violations = Violations::default();
        let call = read::call(
            principal,
            "IssueReturnLabel",
            &id,
            &message,
            &mut violations,
        );
        let head = read::head(call, &message.return_id, &message.etag, violations)?;
        let ret = commands::issue_return_label(&self.ctx, &head.call, head.return_id, head.etag)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::IssueReturnLabelResponse {
            return_order: Some(messages::ret(&ret)),
        }))
    }

    async fn receive_return(
        &self,
        request: Request<proto::ReceiveReturnRequest>,
    ) -> Result<Response<proto::ReceiveReturnResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = principal(&request);
        let (message, id) = split_id(request.get_ref(), |m| &mut m.request_id);
        let mut violations = Violations::default();
        let call = read::call(principal, "ReceiveReturn", &id, &message, &mut violations);
        let lines: Vec<(&str, i64)> = message
            .lines
            .iter()
            .map(|line| (line.return_line_id.as_str(), line.quantity))
            .collect();
        let units = read::units(&lines, &mut violations);
        let head = read::head(call, &message.return_id, &message.etag, violations)?;
        self.within(&access, head.return_id).await?;
        let ret =
            commands::receive_return(&self.ctx, &head.call, head.return_id, head.etag, &units)
                .await
                .map_err(status)?;
        Ok(Response::new(proto::ReceiveReturnResponse {
            return_order: Some(messages::ret(&ret)),
        }))
    }

    async fn inspect_return(
        &self,
        request: Request<proto::InspectReturnRequest>,
    ) -> Result<Response<proto::InspectReturnResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = principal(&request);
        let (message, id) = split_id(request.get_ref(), |m| &mut m.request_id);
        let mut violations = Violations::default();
        let call = read::call(principal, "InspectReturn", &id, &message, &mut violations);
        let lines: Vec<(&str, i64)> = message
            .lines
            .iter()
            .map(|line| (line.return_line_id.as_str(), line.quantity))
            .collect();
        let units = read::units(&lines, &mut violations);
        let conditions = read::conditions(&message.lines, &mut violations);
        let head = read::head(call, &message.return_id, &message.etag, violations)?;
        self.within(&access, head.return_id).await?;
        let seen: Vec<_> = units
            .into_iter()
            .zip(conditions)
            .zip(&message.lines)
            .map(|((units, condition), line)| (units, condition, line.refund_denied))
            .collect();
        let ret = commands::inspect_return(&self.ctx, &head.call, head.return_id, head.etag, &seen)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::InspectReturnResponse {
            return_order: Some(messages::ret(&ret)),
        }))
    }

    async fn dispose_return(
        &self,
        request: Request<proto::DisposeReturnRequest>,
    ) -> Result<Response<proto::DisposeReturnResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = principal(&request);
        let (message, id) = split_id(request.get_ref(), |m| &mut m.request_id);
        let mut violations = Violations::default();
        let call = read::call(principal, "DisposeReturn", &id, &message, &mut violations);
        let lines: Vec<(&str, i64)> = message
            .lines
            .iter()
            .map(|line| (line.return_line_id.as_str(), line.quantity))
            .collect();
        let units = read::units(&lines, &mut violations);
        let dispositions = read::dispositions(&message.lines, &mut violations);
        let head = read::head(call, &message.return_id, &message.etag, violations)?;
        self.within(&access, head.return_id).await?;
        let parts: Vec<_> = units.into_iter().zip(dispositions).collect();
        let ret =
            commands::dispose_return(&self.ctx, &head.call, head.return_id, head.etag, &parts)
                .await
                .map_err(status)?;
        Ok(Response::new(proto::DisposeReturnResponse {
            return_order: Some(messages::ret(&ret)),
        }))
    }

    async fn cancel_return(
        &self,
        request: Request<proto::CancelReturnRequest>,
    ) -> Result<Response<proto::CancelReturnResponse>, Status> {
        let principal = principal(&request);
        let (message, id) = split_id(request.get_ref(), |m| &mut m.request_id);
        let mut violations = Violations::default();
        let call = read::call(principal, "CancelReturn", &id, &message, &mut violations);
        read::text(&message.reason, "reason", 0..=200, &mut violations);
        let head = read::head(call, &message.return_id, &message.etag, violations)?;
        let reason = &message.reason;
        let ret = commands::cancel_return(&self.ctx, &head.call, head.return_id, head.etag, reason)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::CancelReturnResponse {
            return_order: Some(messages::ret(&ret)),
        }))
    }

    async fn get_return(
        &self,
        request: Request<proto::GetReturnRequest>,
    ) -> Result<Response<proto::GetReturnResponse>, Status> {
        let access = oms_service::access(&request);
        let mut violations = Violations::default();
        let text = &request.get_ref().return_id;
        let id = read::uuid_field(text, "return_id", &mut violations).map(ReturnId::new);
        violations.into_result().map_err(ApiError::from)?;
        let found = match id {
            Some(id) => queries::get_return(&self.ctx, id).await.map_err(status)?,
            None => None,
        };
        // A return at another location is answered like one that does not exist.
        let seen = found.filter(|ret| access.locations.permits(ret.location_id.as_str()));
        let ret = seen.ok_or_else(|| ApiError::not_found("return", text))?;
        Ok(Response::new(proto::GetReturnResponse {
            return_order: Some(messages::ret(&ret)),
        }))
    }

    async fn list_returns(
        &self,
        request: Request<proto::ListReturnsRequest>,
    ) -> Result<Response<proto::ListReturnsResponse>, Status> {
        let access = oms_service::access(&request);
        let mut filter = request.into_inner();
        let (size, token) = (filter.page_size, std::mem::take(&mut filter.page_token));
        filter.page_size = 0;
        let seal = fingerprint(&filter);
        let mut violations = Violations::default();
        let size = page_size(size, &mut violations);
        let order_id = match filter.order_id.as_str() {
            "" => None,
            text => read::uuid_field(text, "order_id", &mut violations).map(OrderId::new),
        };
        let states = read::states(&filter.states, &mut violations);
        violations.into_result().map_err(ApiError::from)?;
        let after = PageToken::decode::<(i128, Uuid)>(&token, &seal)?.and_then(position);
        let filter = Filter {
            order_id,
            states,
            locations: access.locations.names(),
        };
        let page = queries::list_returns(&self.ctx, &filter, after, size)
            .await
            .map_err(status)?;
        let next = page
            .next
            .map(|(time, id)| (time.unix_timestamp_nanos(), id));
        Ok(Response::new(proto::ListReturnsResponse {
            returns: page.returns.iter().map(messages::ret).collect(),
            next_page_token: next
                .map(|at| PageToken::encode(&at, &seal))
                .unwrap_or_default(),
        }))
    }
}

fn position((nanos, id): (i128, Uuid)) -> Option<(OffsetDateTime, Uuid)> {
    Some((OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?, id))
}
