//! WebhookService.

use std::time::Duration;

use oms_core::{ChannelId, Violations, check_free_text};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::webhook_service_server::WebhookService;
use oms_service::{PageToken, fingerprint, page_size, parse_etag, principal, request_id};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::Api;
use super::error::status;
use super::requests::{caller, id, next_page, optional_id, optional_time, refuse, refused};
use crate::commands::create_webhook_endpoint::{CreateWebhookEndpoint, create_webhook_endpoint};
use crate::commands::delete_webhook_endpoint::delete_webhook_endpoint;
use crate::commands::replay_webhook_deliveries::{Selection, replay_webhook_deliveries};
use crate::commands::rotate_webhook_secret::rotate_webhook_secret;
use crate::commands::update_webhook_endpoint::{UpdateWebhookEndpoint, update_webhook_endpoint};
use crate::domain::webhook::{
    DESCRIPTION_LEN_MAX, DeliveryFilter, DeliveryState, FILTER_MAX, OVERLAP_DEFAULT, OVERLAP_MAX,
};
use crate::messages;
use crate::queries::get_webhook_delivery::get_webhook_delivery;
use crate::queries::get_webhook_endpoint::get_webhook_endpoint;
use crate::queries::list_webhook_deliveries::list_webhook_deliveries;
use crate::queries::list_webhook_endpoints::list_webhook_endpoints;

#[tonic::async_trait]
impl WebhookService for Api {
    async fn create_webhook_endpoint(
        &self,
        request: Request<pb::CreateWebhookEndpointRequest>,
    ) -> Result<Response<pb::CreateWebhookEndpointResponse>, Status> {
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        let command = CreateWebhookEndpoint {
            url: message.url.clone(),
            event_types: message.event_types.clone(),
            channel_ids: message.channel_ids.clone(),
            description: message.description.clone(),
        };
        self.check_settings(&command, &mut violations);
        let Some(request_id) = request_id else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let caller = caller(principal, request_id, &message);
        let created = create_webhook_endpoint(&self.ctx, &caller, &command).await;
        let created = created.map_err(status)?;
        Ok(Response::new(pb::CreateWebhookEndpointResponse {
            endpoint: Some(messages::webhook_endpoint(&created.endpoint)),
            secret: created.reveal(),
        }))
    }

    async fn update_webhook_endpoint(
        &self,
        request: Request<pb::UpdateWebhookEndpointRequest>,
    ) -> Result<Response<pb::UpdateWebhookEndpointResponse>, Status> {
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        if message.endpoint.is_none() {
            violations.push("endpoint", "FIELD_REQUIRED", "must hold an endpoint");
        }
        let command = message.endpoint.as_ref().and_then(|endpoint| {
            let mut part = Violations::default();
            let read = self.read_update(endpoint, &mut part);
            violations.extend_under("endpoint", part);
            read
        });
        let (Some(request_id), Some(command)) = (request_id, command) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let caller = caller(principal, request_id, &message);
        let updated = update_webhook_endpoint(&self.ctx, &caller, &command).await;
        let endpoint = Some(messages::webhook_endpoint(&updated.map_err(status)?));
        Ok(Response::new(pb::UpdateWebhookEndpointResponse {
            endpoint,
        }))
    }

    async fn delete_webhook_endpoint(
        &self,
        request: Request<pb::DeleteWebhookEndpointRequest>,
    ) -> Result<Response<pb::DeleteWebhookEndpointResponse>, Status> {
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        let endpoint_id = endpoint_id(&message.webhook_endpoint_id, &mut violations);
        let etag = parse_etag(&message.etag, &mut violations);
        let (Some(request_id), Some(endpoint_id)) = (request_id, endpoint_id) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let caller = caller(principal, request_id, &message);
        let deleted = delete_webhook_endpoint(&self.ctx, &caller, endpoint_id, etag).await;
        deleted.map_err(status)?;
        Ok(Response::new(pb::DeleteWebhookEndpointResponse {}))
    }

    async fn get_webhook_endpoint(
        &self,
        request: Request<pb::GetWebhookEndpointRequest>,
    ) -> Result<Response<pb::GetWebhookEndpointResponse>, Status> {
        let message = request.into_inner();
        let mut violations = Violations::default();
        let Some(endpoint_id) = endpoint_id(&message.webhook_endpoint_id, &mut violations) else {
            return Err(refused(violations));
        };
        let found = get_webhook_endpoint(&self.ctx, endpoint_id).await;
        let endpoint = Some(messages::webhook_endpoint(&found.map_err(status)?));
        Ok(Response::new(pb::GetWebhookEndpointResponse { endpoint }))
    }

    async fn list_webhook_endpoints(
        &self,
        request: Request<pb::ListWebhookEndpointsRequest>,
    ) -> Result<Response<pb::ListWebhookEndpointsResponse>, Status> {
        let message = request.into_inner();
        let mut violations = Violations::default();
        let size = page_size(message.page_size, &mut violations);
        refuse(violations)?;
        let seal = fingerprint(&pb::ListWebhookEndpointsRequest::default());
        let after = PageToken::decode::<Uuid>(&message.page_token, &seal)?.unwrap_or_default();
        let found = list_webhook_endpoints(&self.ctx, after, size + 1).await;
        let mut found = found.map_err(status)?;
        let next_page_token = next_page(&mut found, size, &seal, |last| last.endpoint_id);
        Ok(Response::new(pb::ListWebhookEndpointsResponse {
            endpoints: found.iter().map(messages::webhook_endpoint).collect(),
            next_page_token,
        }))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<pb::RotateWebhookSecretRequest>,
    ) -> Result<Response<pb::RotateWebhookSecretResponse>, Status> {
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        let endpoint_id = endpoint_id(&message.webhook_endpoint_id, &mut violations);
        let overlap = overlap(message.overlap, &mut violations);
        let (Some(request_id), Some(endpoint_id)) = (request_id, endpoint_id) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let caller = caller(principal, request_id, &message);
        let rotated = rotate_webhook_secret(&self.ctx, &caller, endpoint_id, overlap).await;
        let rotated = rotated.map_err(status)?;
        Ok(Response::new(pb::RotateWebhookSecretResponse {
            endpoint: Some(messages::webhook_endpoint(&rotated.endpoint)),
            secret: rotated.reveal(),
        }))
    }

    async fn list_webhook_deliveries(
        &self,
        request: Request<pb::ListWebhookDeliveriesRequest>,
    ) -> Result<Response<pb::ListWebhookDeliveriesResponse>, Status> {
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let size = page_size(message.page_size, &mut violations);
        let filter = delivery_filter(&message, &mut violations);
        refuse(violations)?;
        let token = std::mem::take(&mut message.page_token);
        message.page_size = 0;
        let seal = fingerprint(&message);
        let after = PageToken::decode::<(i64, Uuid)>(&token, &seal)?;
        let found = list_webhook_deliveries(&self.ctx, &filter, after, size + 1).await;
        let mut found = found.map_err(status)?;
        let next_page_token = next_page(&mut found, size, &seal, |last| {
            (last.feed_pos, last.delivery_id)
        });
        Ok(Response::new(pb::ListWebhookDeliveriesResponse {
            deliveries: found.iter().map(messages::webhook_delivery).collect(),
            next_page_token,
        }))
    }

    async fn get_webhook_delivery(
        &self,
        request: Request<pb::GetWebhookDeliveryRequest>,
    ) -> Result<Response<pb::GetWebhookDeliveryResponse>, Status> {
        let message = request.into_inner();
        let mut violations = Violations::default();
        let field = "webhook_delivery_id";
        let Some(delivery_id) = id::<Uuid>(&message.webhook_delivery_id, field, &mut violations)
        else {
            return Err(refused(violations));
        };
        let found = get_webhook_delivery(&self.ctx, delivery_id).await;
        let (delivery, attempts) = found.map_err(status)?;
        Ok(Response::new(pb::GetWebhookDeliveryResponse {
            delivery: Some(messages::webhook_delivery(&delivery)),
            attempts: attempts.iter().map(messages::webhook_attempt).collect(),
        }))
    }

    async fn replay_webhook_deliveries(
        &self,
        request: Request<pb::ReplayWebhookDeliveriesRequest>,
    ) -> Result<Response<pb::ReplayWebhookDeliveriesResponse>, Status> {
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        let endpoint_id = endpoint_id(&message.webhook_endpoint_id, &mut violations);
        let selection = selection(message.selection.as_ref(), &mut violations);
        let (Some(request_id), Some(endpoint_id), Some(selection)) =
            (request_id, endpoint_id, selection)
        else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let caller = caller(principal, request_id, &message);
        let replayed = replay_webhook_deliveries(&self.ctx, &caller, endpoint_id, &selection).await;
        Ok(Response::new(pb::ReplayWebhookDeliveriesResponse {
            position_count: replayed.map_err(status)?,
        }))
    }
}

impl Api {
    fn read_update(
        &self,
        message: &pb::WebhookEndpoint,
        violations: &mut Violations,
    ) -> Option<UpdateWebhookEndpoint> {
        let endpoint_id = endpoint_id(&message.webhook_endpoint_id, violations);
        let etag = parse_etag(&message.etag, violations);
        let settings = CreateWebhookEndpoint {
            url: message.url.clone(),
            event_types: message.event_types.clone(),
            channel_ids: message.channel_ids.clone(),
            description: message.description.clone(),
        };
        self.check_settings(&settings, violations);
        let is_enabled = match pb::WebhookEndpointState::try_from(message.state) {
            Ok(pb::WebhookEndpointState::Unspecified) => None,
            Ok(pb::WebhookEndpointState::Enabled) => Some(true),
            Ok(pb::WebhookEndpointState::Disabled) => Some(false),
            Err(_) => {
                violations.push("state", "FIELD_MALFORMED", "is no state");
                None
            }
        };
        Some(UpdateWebhookEndpoint {
            endpoint_id: endpoint_id?,
            etag,
            settings,
            is_enabled,
        })
    }

    fn check_settings(&self, settings: &CreateWebhookEndpoint, violations: &mut Violations) {
        self.ctx.webhooks.guard.check_url(&settings.url, violations);
        let description = &settings.description;
        check_free_text(description, "description", DESCRIPTION_LEN_MAX, violations);
        for (field, list) in [
            ("event_types", &settings.event_types),
            ("channel_ids", &settings.channel_ids),
        ] {
            violations.check(
                list.len() <= FILTER_MAX,
                field,
                "FIELD_OUT_OF_RANGE",
                format!("may name at most {FILTER_MAX}"),
            );
            for (n, value) in list.iter().enumerate() {
                let is_first = list.iter().position(|other| other == value) == Some(n);
                let of_one = format!("{field}[{n}]");
                violations.check(is_first, of_one, "DUPLICATE", "is named before");
            }
        }
        for (n, event_type) in settings.event_types.iter().enumerate() {
            let is_known = self.ctx.webhooks.event_types.contains(event_type);
            let field = format!("event_types[{n}]");
            violations.check(is_known, field, "FIELD_MALFORMED", "is no type of event");
        }
        for (n, channel_id) in settings.channel_ids.iter().enumerate() {
            id::<ChannelId>(channel_id, &format!("channel_ids[{n}]"), violations);
        }
    }
}

fn endpoint_id(text: &str, violations: &mut Violations) -> Option<Uuid> {
    id(text, "webhook_endpoint_id", violations)
}

fn overlap(given: Option<prost_types::Duration>, violations: &mut Violations) -> Duration {
    let Some(given) = given else {
        return OVERLAP_DEFAULT;
    };
    let read = Duration::try_from(given).ok();
    let read = read.filter(|overlap| *overlap <= OVERLAP_MAX);
    violations.check(
        read.is_some(),
        "overlap",
        "FIELD_OUT_OF_RANGE",
        "must be between nothing and seven days",
    );
    read.unwrap_or_default()
}

fn delivery_filter(
    message: &pb::ListWebhookDeliveriesRequest,
    violations: &mut Violations,
) -> DeliveryFilter {
    let is_narrow = !message.webhook_endpoint_id.is_empty() || !message.event_id.is_empty();
    violations.check(
        is_narrow,
        "webhook_endpoint_id",
        "FIELD_REQUIRED",
        "must be given unless event_id is",
    );
    let endpoint = &message.webhook_endpoint_id;
    let state = match pb::WebhookDeliveryState::try_from(message.state) {
        Ok(pb::WebhookDeliveryState::Unspecified) => None,
        Ok(pb::WebhookDeliveryState::Pending) => Some(DeliveryState::Pending),
        Ok(pb::WebhookDeliveryState::Delivered) => Some(DeliveryState::Delivered),
        Ok(pb::WebhookDeliveryState::Failed) => Some(DeliveryState::Failed),
        Err(_) => {
            violations.push("state", "FIELD_MALFORMED", "is no state");
            None
        }
    };
    DeliveryFilter {
        endpoint_id: optional_id(endpoint, "webhook_endpoint_id", violations),
        event_id: optional_id(&message.event_id, "event_id", violations),
        state,
    }
}

fn selection(
    message: Option<&pb::replay_webhook_deliveries_request::Selection>,
    violations: &mut Violations,
) -> Option<Selection> {
    use pb::replay_webhook_deliveries_request::Selection as Message;
    let range = match message {
        None => {
            let message = "must say what is to be replayed";
            violations.push("selection", "FIELD_REQUIRED", message);
            return None;
        }
        Some(Message::WebhookDeliveryId(text)) => {
            return id(text, "webhook_delivery_id", violations).map(Selection::Delivery);
        }
        Some(Message::Range(range)) => range,
    };
    for (field, pos) in [
        ("range.after_pos", range.after_pos),
        ("range.through_pos", range.through_pos),
    ] {
        violations.check(
            pos >= 0,
            field,
            "FIELD_OUT_OF_RANGE",
            "must not be negative",
        );
    }
    Some(Selection::Range {
        after_pos: range.after_pos,
        through_pos: range.through_pos,
        starts_at: optional_time(range.start_time, "range.start_time", violations),
        ends_at: optional_time(range.end_time, "range.end_time", violations),
    })
}
