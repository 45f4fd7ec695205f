//! `oms.shipping.v1.TrackingService`.

use std::sync::Arc;

use oms_core::ShipmentId;
use oms_proto::common::v1::ErrorReason;
use oms_proto::shipping::v1 as pb;
use oms_proto::shipping::v1::tracking_service_server::TrackingService;
use oms_proto::time_from_proto;
use oms_service::{ApiError, principal};
use time::OffsetDateTime;
use tonic::{Request, Response, Status};

use crate::commands::record_tracking_event::{NewReport, record_tracking_event};
use crate::commands::{Context, message};
use crate::domain::tracking::{
    DESCRIPTION_CHARS_MAX, EVENT_ID_CHARS_MAX, NUMBER_CHARS_MAX, TrackingStatus, is_ahead,
};
use crate::queries::list_tracking_events::list_tracking_events;

use super::error::{status, store_status};
use super::reach::{carries, within};
use super::read::{Reader, call};

/// The service.
pub(crate) struct TrackingApi {
    ctx: Arc<Context>,
}

impl TrackingApi {
    /// The service over a context.
    pub(crate) fn new(ctx: Arc<Context>) -> Self {
        Self { ctx }
    }
}

#[tonic::async_trait]
impl TrackingService for TrackingApi {
    async fn record_tracking_event(
        &self,
        request: Request<pb::RecordTrackingEventRequest>,
    ) -> Result<Response<pb::RecordTrackingEventResponse>, Status> {
        let access = oms_service::access(&request);
        let actor = principal(&request).to_string();
        let mut request = request.into_inner();
        let mut reader = Reader::new();
        let id = std::mem::take(&mut request.request_id);
        let call = call(&mut reader, actor, "RecordTrackingEvent", &id, &request);
        let report = report(&mut reader, request, self.ctx.clock.now());
        reader.0.into_result().map_err(ApiError::from)?;
        let report =
            report.ok_or_else(|| ApiError::internal("a request was neither good nor bad"))?;
        carries(
            &self.ctx,
            &access,
            &report.carrier_id,
            &report.tracking_number,
        )
        .await?;
        let recorded = record_tracking_event(&self.ctx, &report, &call).await;
        let (event, shipment) = recorded.map_err(status)?;
        Ok(Response::new(pb::RecordTrackingEventResponse {
            event: Some(message::tracking_event(&event)),
            shipment: Some(message::shipment(&shipment)),
        }))
    }

    async fn list_tracking_events(
        &self,
        request: Request<pb::ListTrackingEventsRequest>,
    ) -> Result<Response<pb::ListTrackingEventsResponse>, Status> {
        let access = oms_service::access(&request);
        let request = request.into_inner();
        let mut reader = Reader::new();
        let id = reader.id("shipment_id", &request.shipment_id);
        reader.0.into_result().map_err(ApiError::from)?;
        let id: ShipmentId =
            id.ok_or_else(|| ApiError::internal("an id was neither good nor bad"))?;
        within(&self.ctx, &access, id).await?;
        let events = list_tracking_events(&self.ctx.db, id)
            .await
            .map_err(store_status)?;
        let events = events.ok_or_else(|| ApiError::not_found("shipment", id))?;
        let events = events.iter().map(message::tracking_event).collect();
        Ok(Response::new(pb::ListTrackingEventsResponse { events }))
    }
}

fn report(
    reader: &mut Reader,
    request: pb::RecordTrackingEventRequest,
    now: OffsetDateTime,
) -> Option<NewReport> {
    reader.required("carrier_id", &request.carrier_id, 64);
    reader.required(
        "tracking_number",
        &request.tracking_number,
        NUMBER_CHARS_MAX,
    );
    reader.text(
        "carrier_event_id",
        &request.carrier_event_id,
        EVENT_ID_CHARS_MAX,
    );
    reader.free_text("description", &request.description, DESCRIPTION_CHARS_MAX);
    let status = tracking_status(request.status);
    let message = "must be a status";
    reader.check(
        status.is_some(),
        "status",
        ErrorReason::FieldMalformed,
        message,
    );
    let occurred_at = match request.occur_time {
        None => {
            reader.check(
                false,
                "occur_time",
                ErrorReason::FieldRequired,
                "must be set",
            );
            None
        }
        Some(time) => {
            let time = time_from_proto(time).ok();
            let message = "must be a time";
            reader.check(
                time.is_some(),
                "occur_time",
                ErrorReason::FieldMalformed,
                message,
            );
            time
        }
    };
    if let Some(occurred_at) = occurred_at {
        let message = "must not lie in the future";
        let is_past = !is_ahead(occurred_at, now);
        reader.check(is_past, "occur_time", ErrorReason::FieldOutOfRange, message);
    }
    Some(NewReport {
        carrier_id: request.carrier_id,
        tracking_number: request.tracking_number,
        carrier_event_id: request.carrier_event_id,
        status: status?,
        description: request.description,
        occurred_at: occurred_at?,
    })
}

fn tracking_status(value: i32) -> Option<TrackingStatus> {
    Some(match pb::TrackingStatus::try_from(value).ok()? {
        pb::TrackingStatus::Unspecified => return None,
        pb::TrackingStatus::Unknown => TrackingStatus::Unknown,
        pb::TrackingStatus::PreTransit => TrackingStatus::PreTransit,
        pb::TrackingStatus::InTransit => TrackingStatus::InTransit,
        pb::TrackingStatus::OutForDelivery => TrackingStatus::OutForDelivery,
        pb::TrackingStatus::DeliveryAttempted => TrackingStatus::DeliveryAttempted,
        pb::TrackingStatus::AvailableForPickup => TrackingStatus::AvailableForPickup,
        pb::TrackingStatus::Delivered => TrackingStatus::Delivered,
        pb::TrackingStatus::Exception => TrackingStatus::Exception,
        pb::TrackingStatus::ReturnToSender => TrackingStatus::ReturnToSender,
        pb::TrackingStatus::Returned => TrackingStatus::Returned,
        pb::TrackingStatus::Lost => TrackingStatus::Lost,
        pb::TrackingStatus::Damaged => TrackingStatus::Damaged,
    })
}
