//! `oms.shipping.v1.ShipmentService`.

use std::sync::Arc;

use oms_core::{LocationId, ShipmentId};
use oms_proto::common::v1::{Document, DocumentFormat, ErrorReason};
use oms_proto::shipping::v1 as pb;
use oms_proto::shipping::v1::shipment_service_server::ShipmentService;
use oms_service::{ApiError, PageToken, fingerprint, page_size, parse_etag, principal};
use time::OffsetDateTime;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::commands::buy_label::buy_label;
use crate::commands::cancel_shipment::cancel_shipment;
use crate::commands::choose_service::Named;
use crate::commands::confirm_ship::confirm_ship;
use crate::commands::create_shipment::{Cause, NewShipment, create_shipment};
use crate::commands::get_label::{Format, get_label};
use crate::commands::void_label::void_label;
use crate::commands::{Call, Context, message};
use crate::domain::rates::ServiceLevel;
use crate::domain::state::ShipmentState;
use crate::queries::get_shipment::get_shipment;
use crate::queries::list_shipments::{Filter, Position, list_shipments};

use super::error::{status, store_status};
use super::reach::{makes, within};
use super::read::{Reader, call};

/// The service.
pub(crate) struct ShipmentApi {
    ctx: Arc<Context>,
}

impl ShipmentApi {
    /// The service over a context.
    pub(crate) fn new(ctx: Arc<Context>) -> Self {
        Self { ctx }
    }
}

fn invalid(reader: Reader) -> Result<(), Status> {
    reader
        .0
        .into_result()
        .map_err(|violations| ApiError::from(violations).into())
}

/// What commands on one shipment have in common.
struct Target {
    shipment_id: ShipmentId,
    etag: Option<i64>,
    call: Call,
}

fn target(mut reader: Reader, shipment_id: &str, etag: &str, call: Call) -> Result<Target, Status> {
    let id = reader.id("shipment_id", shipment_id);
    let etag = parse_etag(etag, &mut reader.0);
    invalid(reader)?;
    let shipment_id = id.ok_or_else(|| ApiError::internal("an id was neither good nor bad"))?;
    Ok(Target {
        shipment_id,
        etag,
        call,
    })
}

#[tonic::async_trait]
impl ShipmentService for ShipmentApi {
    async fn create_shipment(
        &self,
        request: Request<pb::CreateShipmentRequest>,
    ) -> Result<Response<pb::CreateShipmentResponse>, Status> {
        let access = oms_service::access(&request);
        let actor = principal(&request).to_string();
        let mut request = request.into_inner();
        let mut reader = Reader::new();
        let id = std::mem::take(&mut request.request_id);
        let call = call(&mut reader, actor, "CreateShipment", &id, &request);
        let new = new_shipment(&mut reader, request);
        invalid(reader)?;
        let new = new.ok_or_else(|| ApiError::internal("a request was neither good nor bad"))?;
        makes(&self.ctx, &access, &new).await?;
        let shipment = create_shipment(&self.ctx, &new, &call)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::CreateShipmentResponse {
            shipment: Some(message::shipment(&shipment)),
        }))
    }

    async fn buy_label(
        &self,
        request: Request<pb::BuyLabelRequest>,
    ) -> Result<Response<pb::BuyLabelResponse>, Status> {
        let access = oms_service::access(&request);
        let actor = principal(&request).to_string();
        let mut request = request.into_inner();
        let mut reader = Reader::new();
        let id = std::mem::take(&mut request.request_id);
        let call = call(&mut reader, actor, "BuyLabel", &id, &request);
        reader.text("carrier_id", &request.carrier_id, 64);
        reader.text("carrier_service", &request.carrier_service, 64);
        let target = target(reader, &request.shipment_id, &request.etag, call)?;
        within(&self.ctx, &access, target.shipment_id).await?;
        let named = Named {
            carrier_id: request.carrier_id,
            carrier_service: request.carrier_service,
        };
        let shipment = buy_label(
            &self.ctx,
            target.shipment_id,
            target.etag,
            &named,
            &target.call,
        )
        .await
        .map_err(status)?;
        Ok(Response::new(pb::BuyLabelResponse {
            shipment: Some(message::shipment(&shipment)),
        }))
    }

    async fn void_label(
        &self,
        request: Request<pb::VoidLabelRequest>,
    ) -> Result<Response<pb::VoidLabelResponse>, Status> {
        let access = oms_service::access(&request);
        let actor = principal(&request).to_string();
        let mut request = request.into_inner();
        let mut reader = Reader::new();
        let id = std::mem::take(&mut request.request_id);
        let call = call(&mut reader, actor, "VoidLabel", &id, &request);
        let target = target(reader, &request.shipment_id, &request.etag, call)?;
        within(&self.ctx, &access, target.shipment_id).await?;
        let shipment = void_label(&self.ctx, target.shipment_id, target.etag, &target.call)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::VoidLabelResponse {
            shipment: Some(message::shipment(&shipment)),
        }))
    }

    async fn get_label(
        &self,
        request: Request<pb::GetLabelRequest>,
    ) -> Result<Response<pb::GetLabelResponse>, Status> {
        let access = oms_service::access(&request);
        let request = request.into_inner();
        let mut reader = Reader::new();
        let shipment_id = reader.id("shipment_id", &request.shipment_id);
        let package_id = reader.optional_id("package_id", &request.package_id);
        let format = match DocumentFormat::try_from(request.format) {
            Ok(DocumentFormat::Zpl) => Format::Zpl,
            Ok(DocumentFormat::Pdf | DocumentFormat::Unspecified) => Format::Pdf,
            Err(_) => {
                reader.check(false, "format", ErrorReason::FieldMalformed, "is no format");
                Format::Pdf
            }
        };
        invalid(reader)?;
        let shipment_id =
            shipment_id.ok_or_else(|| ApiError::internal("an id was neither good nor bad"))?;
        within(&self.ctx, &access, shipment_id).await?;
        let document = get_label(&self.ctx, shipment_id, package_id, format);
        let document = document.await.map_err(status)?;
        let (format, media_type) = match document.format {
            Format::Pdf => (DocumentFormat::Pdf, "application/pdf"),
            Format::Zpl => (DocumentFormat::Zpl, "application/zpl"),
        };
        let document = Document {
            format: format.into(),
            media_type: media_type.to_owned(),
            file_name: document.file_name,
            content: document.content,
        };
        Ok(Response::new(pb::GetLabelResponse {
            document: Some(document),
        }))
    }

    async fn confirm_ship(
        &self,
        request: Request<pb::ConfirmShipRequest>,
    ) -> Result<Response<pb::ConfirmShipResponse>, Status> {
        let access = oms_service::access(&request);
        let actor = principal(&request).to_string();
        let mut request = request.into_inner();
        let mut reader = Reader::new();
        let id = std::mem::take(&mut request.request_id);
        let call = call(&mut reader, actor, "ConfirmShip", &id, &request);
        let target = target(reader, &request.shipment_id, &request.etag, call)?;
        within(&self.ctx, &access, target.shipment_id).await?;
        let shipment = confirm_ship(&self.ctx, target.shipment_id, target.etag, &target.call)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::ConfirmShipResponse {
            shipment: Some(message::shipment(&shipment)),
        }))
    }

    async fn cancel_shipment(
        &self,
        request: Request<pb::CancelShipmentRequest>,
    ) -> Result<Response<pb::CancelShipmentResponse>, Status> {
        let access = oms_service::access(&request);
        let actor = principal(&request).to_string();
        let mut request = request.into_inner();
        let mut reader = Reader::new();
        let id = std::mem::take(&mut request.request_id);
        let call = call(&mut reader, actor, "CancelShipment", &id, &request);
        reader.free_text("reason", &request.reason, 200);
        let target = target(reader, &request.shipment_id, &request.etag, call)?;
        within(&self.ctx, &access, target.shipment_id).await?;
        let (id, etag, reason) = (target.shipment_id, target.etag, &request.reason);
        let shipment = cancel_shipment(&self.ctx, id, etag, reason, &target.call);
        let shipment = shipment.await.map_err(status)?;
        Ok(Response::new(pb::CancelShipmentResponse {
            shipment: Some(message::shipment(&shipment)),
        }))
    }

    async fn get_shipment(
        &self,
        request: Request<pb::GetShipmentRequest>,
    ) -> Result<Response<pb::GetShipmentResponse>, Status> {
        let access = oms_service::access(&request);
        let request = request.into_inner();
        let mut reader = Reader::new();
        let id = reader.id("shipment_id", &request.shipment_id);
        invalid(reader)?;
        let id: ShipmentId =
            id.ok_or_else(|| ApiError::internal("an id was neither good nor bad"))?;
        within(&self.ctx, &access, id).await?;
        let found = get_shipment(&self.ctx.db, id).await.map_err(store_status)?;
        let found = found.ok_or_else(|| ApiError::not_found("shipment", id))?;
        oms_telemetry::record_order_id(&tracing::Span::current(), found.order_id);
        Ok(Response::new(pb::GetShipmentResponse {
            shipment: Some(message::shipment(&found)),
        }))
    }

    async fn list_shipments(
        &self,
        request: Request<pb::ListShipmentsRequest>,
    ) -> Result<Response<pb::ListShipmentsResponse>, Status> {
        let access = oms_service::access(&request);
        let mut request = request.into_inner();
        let mut reader = Reader::new();
        let order_id = reader.optional_id("order_id", &request.order_id);
        let location: Option<LocationId> = reader.optional_id("location_id", &request.location_id);
        let states = states(&mut reader, &request.states);
        let size = page_size(request.page_size, &mut reader.0);
        invalid(reader)?;
        let filter = Filter {
            order_id,
            locations: oms_service::locations(&access, location.as_ref().map(LocationId::as_str))?,
            states,
        };
        let token = std::mem::take(&mut request.page_token);
        request.page_size = 0;
        let seal = fingerprint(&request);
        let after = PageToken::decode::<(i128, Uuid)>(&token, &seal)?;
        let after = after.map(position).transpose()?;
        let page = list_shipments(&self.ctx.db, &filter, after, size);
        let (shipments, next) = page.await.map_err(store_status)?;
        let next = next.map(|next| {
            let position = (next.created_at.unix_timestamp_nanos(), next.shipment_id);
            PageToken::encode(&position, &seal)
        });
        Ok(Response::new(pb::ListShipmentsResponse {
            shipments: shipments.iter().map(message::shipment).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }
}

fn position((nanos, shipment_id): (i128, Uuid)) -> Result<Position, ApiError> {
    let created_at = OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .map_err(|_| ApiError::internal("a sealed page token holds no time"))?;
    Ok(Position {
        created_at,
        shipment_id,
    })
}

fn states(reader: &mut Reader, sent: &[i32]) -> Vec<ShipmentState> {
    let mut states = Vec::new();
    for (n, value) in sent.iter().enumerate() {
        let state = match pb::ShipmentState::try_from(*value) {
            Ok(pb::ShipmentState::Draft) => ShipmentState::Draft,
            Ok(pb::ShipmentState::Labeled) => ShipmentState::Labeled,
            Ok(pb::ShipmentState::Shipped) => ShipmentState::Shipped,
            Ok(pb::ShipmentState::Delivered) => ShipmentState::Delivered,
            Ok(pb::ShipmentState::DeliveryFailed) => ShipmentState::DeliveryFailed,
            Ok(pb::ShipmentState::Canceled) => ShipmentState::Canceled,
            Ok(pb::ShipmentState::Unspecified) | Err(_) => {
                let field = format!("states[{n}]");
                reader.check(false, &field, ErrorReason::FieldMalformed, "is no state");
                continue;
            }
        };
        states.push(state);
    }
    states
}

/// Reads a shipment to make; `None` when something is wrong with it.
fn new_shipment(reader: &mut Reader, request: pb::CreateShipmentRequest) -> Option<NewShipment> {
    let id = reader.optional_id("shipment_id", &request.shipment_id);
    let order_id = reader.id("order_id", &request.order_id);
    reader.required("order_number", &request.order_number, 64);
    let cause = match pb::ShipmentDirection::try_from(request.direction) {
        Ok(pb::ShipmentDirection::Outbound | pb::ShipmentDirection::Unspecified) => {
            let session = reader.id("pack_session_id", &request.pack_session_id);
            session.map(Cause::PackSession)
        }
        Ok(pb::ShipmentDirection::Return) => reader
            .id("return_id", &request.return_id)
            .map(Cause::Return),
        Err(_) => {
            reader.check(
                false,
                "direction",
                ErrorReason::FieldMalformed,
                "is no direction",
            );
            None
        }
    };
    let location_id = reader.location(&request.location_id);
    let destination = reader.destination(request.destination);
    let level = reader.level("service_level", request.service_level);
    let channel: Option<oms_core::ChannelId> =
        reader.optional_id("channel_id", &request.channel_id);
    let packages = reader.packages(&request.packages);
    Some(NewShipment {
        id,
        order_id: order_id?,
        order_number: request.order_number,
        cause: cause?,
        location_id: location_id?,
        destination,
        service_level: level.unwrap_or(ServiceLevel::Ground),
        channel_id: channel.map(String::from).unwrap_or_default(),
        packages,
    })
}
