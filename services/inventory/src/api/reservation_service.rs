//! `ReservationService`.

use oms_core::{OrderId, ReservationId, Violations};
use oms_proto::inventory::v1::reservation_service_server::ReservationService;
use oms_proto::inventory::v1::{
    ConfirmReservationRequest, ConfirmReservationResponse, ExtendReservationRequest,
    ExtendReservationResponse, GetReservationRequest, GetReservationResponse,
    IssueReservationRequest, IssueReservationResponse, ListReservationsRequest,
    ListReservationsResponse, MoveReservationRequest, MoveReservationResponse,
    ReleaseReservationRequest, ReleaseReservationResponse, ReportShortRequest, ReportShortResponse,
    ReserveRequest, ReserveResponse,
};
use oms_service::ApiError;
use oms_telemetry::record_order_id;
use tonic::{Request, Response, Status};
use tracing::Span;

use crate::commands;
use crate::domain::command::{Issue, Release, ReportShort};
use crate::domain::move_reservation::MoveReservation;
use crate::domain::reservation::Reservation;
use crate::messages;
use crate::queries;

use super::error::About;
use super::{Api, call, checks, reserve, take_request_id, units};

#[tonic::async_trait]
impl ReservationService for Api {
    async fn reserve(
        &self,
        request: Request<ReserveRequest>,
    ) -> Result<Response<ReserveResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let reserve = reserve::reserve(&request, &mut violations);
        let (Some(request_id), Some(reserve)) = (request_id, reserve) else {
            return Err(ApiError::from(violations).into());
        };
        record_order_id(&Span::current(), reserve.order);
        let call = call(principal, "Reserve", request_id, &request);
        let about = About {
            reservation: &request.reservation_id,
            request_id,
        };
        let reserved = commands::reserve(&self.ctx, call, reserve).await;
        let (reservation, shortages) = reserved.map_err(|error| about.status(error))?;
        Ok(Response::new(ReserveResponse {
            reservation: Some(messages::reservation(&reservation)),
            shortages: shortages.iter().map(messages::shortage).collect(),
        }))
    }

    async fn extend_reservation(
        &self,
        request: Request<ExtendReservationRequest>,
    ) -> Result<Response<ExtendReservationResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let id = reservation_id(&request.reservation_id, &mut violations);
        let time_to_live = reserve::time_to_live(request.time_to_live.as_ref(), &mut violations);
        let (Some(request_id), Some(id), Some(time_to_live)) = (request_id, id, time_to_live)
        else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "ExtendReservation", request_id, &request);
        let about = About {
            reservation: &request.reservation_id,
            request_id,
        };
        let extended = commands::extend_reservation(&self.ctx, call, id, time_to_live).await;
        let reservation = Some(changed(&extended.map_err(|error| about.status(error))?));
        Ok(Response::new(ExtendReservationResponse { reservation }))
    }

    async fn confirm_reservation(
        &self,
        request: Request<ConfirmReservationRequest>,
    ) -> Result<Response<ConfirmReservationResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let id = reservation_id(&request.reservation_id, &mut violations);
        let (Some(request_id), Some(id)) = (request_id, id) else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "ConfirmReservation", request_id, &request);
        let about = About {
            reservation: &request.reservation_id,
            request_id,
        };
        let confirmed = commands::confirm_reservation(&self.ctx, call, id).await;
        let reservation = Some(changed(&confirmed.map_err(|error| about.status(error))?));
        Ok(Response::new(ConfirmReservationResponse { reservation }))
    }

    async fn release_reservation(
        &self,
        request: Request<ReleaseReservationRequest>,
    ) -> Result<Response<ReleaseReservationResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let id = reservation_id(&request.reservation_id, &mut violations);
        let order: Option<OrderId> = match &*request.order_id {
            "" => None,
            text => checks::required("order_id", text, &mut violations),
        };
        let units = units::all_units(&request.lines, 0, &mut violations);
        let (Some(request_id), Some(id), true) = (request_id, id, violations.is_empty()) else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "ReleaseReservation", request_id, &request);
        let about = About {
            reservation: &request.reservation_id,
            request_id,
        };
        let release = Release {
            reservation: id,
            order,
            units,
        };
        let released = commands::release_reservation(&self.ctx, call, release).await;
        let reservation = Some(changed(&released.map_err(|error| about.status(error))?));
        Ok(Response::new(ReleaseReservationResponse { reservation }))
    }

    async fn report_short(
        &self,
        request: Request<ReportShortRequest>,
    ) -> Result<Response<ReportShortResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let id = reservation_id(&request.reservation_id, &mut violations);
        if request.line.is_none() {
            violations.push("line", checks::REQUIRED, "must not be empty");
        }
        let line = request.line.as_ref();
        let units = line.and_then(|line| units::units("line", line, &mut violations));
        let reason = checks::free_text("reason", &request.reason, 1..=64, &mut violations);
        let (Some(request_id), Some(id), Some(units), true) =
            (request_id, id, units, violations.is_empty())
        else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "ReportShort", request_id, &request);
        let about = About {
            reservation: &request.reservation_id,
            request_id,
        };
        let short = ReportShort {
            reservation: id,
            units,
            reason,
        };
        let reported = commands::report_short(&self.ctx, call, short).await;
        let reservation = Some(changed(&reported.map_err(|error| about.status(error))?));
        Ok(Response::new(ReportShortResponse { reservation }))
    }

    async fn issue_reservation(
        &self,
        request: Request<IssueReservationRequest>,
    ) -> Result<Response<IssueReservationResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let id = reservation_id(&request.reservation_id, &mut violations);
        let shipment = checks::required("shipment_id", &request.shipment_id, &mut violations);
        let units = units::all_units(&request.lines, 1, &mut violations);
        let (Some(request_id), Some(id), Some(shipment), true) =
            (request_id, id, shipment, violations.is_empty())
        else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "IssueReservation", request_id, &request);
        let about = About {
            reservation: &request.reservation_id,
            request_id,
        };
        let issue = Issue {
            reservation: id,
            shipment,
            units,
        };
        let issued = commands::issue_reservation(&self.ctx, call, issue).await;
        let reservation = Some(changed(&issued.map_err(|error| about.status(error))?));
        Ok(Response::new(IssueReservationResponse { reservation }))
    }

    async fn move_reservation(
        &self,
        request: Request<MoveReservationRequest>,
    ) -> Result<Response<MoveReservationResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let id = reservation_id(&request.reservation_id, &mut violations);
        let moves = units::moves(&request.lines, &mut violations);
        let (Some(request_id), Some(reservation), true) = (request_id, id, violations.is_empty())
        else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "MoveReservation", request_id, &request);
        let about = About {
            reservation: &request.reservation_id,
            request_id,
        };
        let moved = MoveReservation { reservation, moves };
        let moved = commands::move_reservation(&self.ctx, call, moved).await;
        let reservation = Some(changed(&moved.map_err(|error| about.status(error))?));
        Ok(Response::new(MoveReservationResponse { reservation }))
    }

    async fn get_reservation(
        &self,
        request: Request<GetReservationRequest>,
    ) -> Result<Response<GetReservationResponse>, Status> {
        let mut violations = Violations::default();
        let id = reservation_id(&request.get_ref().reservation_id, &mut violations);
        let Some(id) = id else {
            return Err(ApiError::from(violations).into());
        };
        let found = queries::get_reservation(&self.ctx.db, id)
            .await
            .map_err(ApiError::from)?;
        let found = found.ok_or_else(|| ApiError::not_found("reservation", id))?;
        let reservation = Some(changed(&found));
        Ok(Response::new(GetReservationResponse { reservation }))
    }

    async fn list_reservations(
        &self,
        request: Request<ListReservationsRequest>,
    ) -> Result<Response<ListReservationsResponse>, Status> {
        let mut violations = Violations::default();
        let order: Option<OrderId> =
            checks::required("order_id", &request.get_ref().order_id, &mut violations);
        let Some(order) = order else {
            return Err(ApiError::from(violations).into());
        };
        record_order_id(&Span::current(), order);
        let found = queries::list_reservations(&self.ctx.db, order).await;
        let found = found.map_err(ApiError::from)?;
        let reservations = found.iter().map(messages::reservation).collect();
        Ok(Response::new(ListReservationsResponse { reservations }))
    }
}

fn reservation_id(text: &str, violations: &mut Violations) -> Option<ReservationId> {
    checks::required("reservation_id", text, violations)
}

/// The message of a reservation whose order the span is about.
fn changed(reservation: &Reservation) -> oms_proto::inventory::v1::Reservation {
    if let Some(order) = reservation.order {
        record_order_id(&Span::current(), order);
    }
    messages::reservation(reservation)
}
