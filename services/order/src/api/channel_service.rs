//! ChannelService.

use oms_core::{ChannelId, Currency, Rounding, Violations, check_free_text};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::channel_service_server::ChannelService;
use oms_service::{PageToken, fingerprint, page_size, parse_etag, principal, request_id};
use tonic::{Request, Response, Status};

use super::Api;
use super::error::status;
use super::new_order::fill_policy;
use super::requests::{caller, id, next_page, refuse, refused};
use crate::commands::upsert_channel::upsert_channel;
use crate::domain::new_order::Channel;
use crate::domain::order::{FillPolicy, PaymentPolicy};
use crate::messages;
use crate::queries::list_channels::list_channels;

#[tonic::async_trait]
impl ChannelService for Api {
    async fn upsert_channel(
        &self,
        request: Request<pb::UpsertChannelRequest>,
    ) -> Result<Response<pb::UpsertChannelResponse>, Status> {
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        if message.channel.is_none() {
            violations.push("channel", "FIELD_REQUIRED", "must hold a channel");
        }
        let mut etag = None;
        let channel = message.channel.as_ref().and_then(|channel| {
            let mut part = Violations::default();
            etag = parse_etag(&channel.etag, &mut part);
            let read = read_channel(channel, &mut part);
            violations.extend_under("channel", part);
            read
        });
        let (Some(request_id), Some(channel)) = (request_id, channel) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let caller = caller(principal, request_id, &message);
        let upserted = upsert_channel(&self.ctx, &caller, &channel, etag).await;
        let channel = Some(messages::channel(&upserted.map_err(status)?));
        Ok(Response::new(pb::UpsertChannelResponse { channel }))
    }

    async fn list_channels(
        &self,
        request: Request<pb::ListChannelsRequest>,
    ) -> Result<Response<pb::ListChannelsResponse>, Status> {
        let access = oms_service::access(&request);
        let message = request.into_inner();
        let mut violations = Violations::default();
        let size = page_size(message.page_size, &mut violations);
        refuse(violations)?;
        let seal = fingerprint(&pb::ListChannelsRequest::default());
        let after = PageToken::decode::<String>(&message.page_token, &seal)?.unwrap_or_default();
        let mut found = list_channels(&self.ctx, access.channels.names(), &after, size + 1)
            .await
            .map_err(status)?;
        let next_page_token = next_page(&mut found, size, &seal, |last| last.channel_id.clone());
        Ok(Response::new(pb::ListChannelsResponse {
            channels: found.iter().map(messages::channel).collect(),
            next_page_token,
        }))
    }
}

fn read_channel(message: &pb::Channel, violations: &mut Violations) -> Option<Channel> {
    let channel_id = id::<ChannelId>(&message.channel_id, "channel_id", violations);
    if message.name.trim().is_empty() {
        violations.push("name", "FIELD_REQUIRED", "must not be empty");
    }
    check_free_text(&message.name, "name", 200, violations);
    let currency =
        violations.parse::<Currency>("currency_code", "CURRENCY_UNKNOWN", &message.currency_code);
    violations.check(
        is_prefix(&message.number_prefix),
        "number_prefix",
        "FIELD_MALFORMED",
        "must have 1 to 8 characters of A-Z 0-9 -",
    );
    violations.check(
        (0..=1_000_000).contains(&message.tax_rate_ppm),
        "tax_rate_ppm",
        "FIELD_OUT_OF_RANGE",
        "must be between 0 and 1000000",
    );
    violations.check(
        message.outlier_quantity >= 0,
        "outlier_quantity",
        "FIELD_OUT_OF_RANGE",
        "must not be negative",
    );
    let policy = payment_policy(message.payment_policy, violations);
    let rounding = rounding(message.tax_rounding, violations);
    let default_fill = fill_policy(
        message.default_fill_policy,
        "default_fill_policy",
        violations,
    );
    Some(Channel {
        channel_id: channel_id?.as_str().to_owned(),
        name: message.name.clone(),
        currency: currency?,
        number_prefix: message.number_prefix.clone(),
        payment_policy: policy?,
        tax_rate_ppm: message.tax_rate_ppm,
        tax_rounding: rounding?,
        default_fill_policy: default_fill.unwrap_or(FillPolicy::FillOrKill),
        outlier_quantity: message.outlier_quantity,
        version: 0,
    })
}

fn is_prefix(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'-';
    (1..=8).contains(&text.len()) && text.bytes().all(allowed)
}

fn payment_policy(number: i32, violations: &mut Violations) -> Option<PaymentPolicy> {
    match pb::PaymentPolicy::try_from(number) {
        Ok(pb::PaymentPolicy::Unspecified | pb::PaymentPolicy::AuthThenCaptureOnShip) => {
            Some(PaymentPolicy::AuthThenCaptureOnShip)
        }
        Ok(pb::PaymentPolicy::Prepaid) => Some(PaymentPolicy::Prepaid),
        Ok(pb::PaymentPolicy::None) => Some(PaymentPolicy::None),
        Err(_) => {
            violations.push("payment_policy", "FIELD_MALFORMED", "is no payment policy");
            None
        }
    }
}

fn rounding(number: i32, violations: &mut Violations) -> Option<Rounding> {
    match pb::RoundingMode::try_from(number) {
        Ok(pb::RoundingMode::Unspecified | pb::RoundingMode::HalfUp) => Some(Rounding::HalfUp),
        Ok(pb::RoundingMode::HalfEven) => Some(Rounding::HalfEven),
        Err(_) => {
            violations.push("tax_rounding", "FIELD_MALFORMED", "is no rounding mode");
            None
        }
    }
}
