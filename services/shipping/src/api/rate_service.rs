//! `oms.shipping.v1.RateService`.

use std::sync::Arc;

use oms_proto::shipping::v1 as pb;
use oms_proto::shipping::v1::rate_service_server::RateService;
use oms_proto::time_to_proto;
use oms_service::ApiError;
use tonic::{Request, Response, Status};

use crate::commands::quote_rates::{Rate, quote_rates};
use crate::commands::{Context, message};
use crate::domain::rates::Parcel;

use super::error::status;
use super::read::Reader;

/// The service.
pub(crate) struct RateApi {
    ctx: Arc<Context>,
}

impl RateApi {
    /// The service over a context.
    pub(crate) fn new(ctx: Arc<Context>) -> Self {
        Self { ctx }
    }
}

#[tonic::async_trait]
impl RateService for RateApi {
    async fn quote_rates(
        &self,
        request: Request<pb::QuoteRatesRequest>,
    ) -> Result<Response<pb::QuoteRatesResponse>, Status> {
        let access = oms_service::access(&request);
        let request = request.into_inner();
        let mut reader = Reader::new();
        let location_id = reader.location(&request.location_id);
        let destination = reader.destination(request.destination);
        let level = reader.level("service_level", request.service_level);
        reader.package_count(request.packages.len());
        let packages = request.packages.iter().enumerate();
        let parcels: Vec<Parcel> = packages
            .map(|(n, package)| {
                let field = format!("packages[{n}]");
                reader.parcel(&field, package.mass_grams, package.dimensions)
            })
            .collect();
        reader.0.into_result().map_err(ApiError::from)?;
        let location_id =
            location_id.ok_or_else(|| ApiError::internal("an id was neither good nor bad"))?;
        oms_service::check_location(&access, &location_id)?;
        let rates = quote_rates(&self.ctx, &location_id, &destination, parcels, level);
        let rates = rates.await.map_err(status)?;
        Ok(Response::new(pb::QuoteRatesResponse {
            rates: rates.iter().map(rate).collect(),
        }))
    }
}

fn rate(rate: &Rate) -> pb::Rate {
    pb::Rate {
        carrier_id: rate.carrier_id.to_owned(),
        carrier_service: rate.carrier_service.clone(),
        service_level: message::service_level(rate.level).into(),
        price: Some(message::money(rate.price)),
        transit_days: rate.transit_days.into(),
        expected_delivery_time: Some(time_to_proto(rate.expected_delivery_at)),
        zone: rate.zone.into(),
    }
}
