//! `oms.fulfillment.v1.WaveService`.

use oms_core::FulfillmentOrderId;
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::wave_service_server::WaveService;
use tonic::{Request, Response, Status};

use super::Api;
use super::error::status;
use super::read::Reader;
use crate::commands::create_wave::{WaveRequest, create_wave};
use crate::domain::picking::PickMethod;
use crate::messages;
use crate::queries::get_wave::get_wave;
use crate::queries::location_of::Thing;

/// Fulfillment orders of a wave when the request does not say how many, and at most.
const ORDERS_DEFAULT: i64 = 20;
const ORDERS_MAX: usize = 200;

#[tonic::async_trait]
impl WaveService for Api {
    async fn create_wave(
        &self,
        request: Request<pb::CreateWaveRequest>,
    ) -> Result<Response<pb::CreateWaveResponse>, Status> {
        let access = oms_service::access(&request);
        let (message, call, mut reader) =
            Reader::mutation(request, "CreateWave", |message| &mut message.request_id);
        let location_id = reader.required("location_id", &message.location_id);
        let ids = order_ids(&message.fulfillment_order_ids, &mut reader);
        reader.number("orders_max", message.orders_max.into(), 0..=200);
        let method = method(message.method, &mut reader);
        let parts = call.zip(location_id).zip(ids).zip(method);
        let (((call, location_id), fulfillment_order_ids), method) = reader.finish(parts)?;
        oms_service::check_location(&access, &location_id)?;
        let orders_max = match message.orders_max {
            0 => ORDERS_DEFAULT,
            count => count.into(),
        };
        let request = WaveRequest {
            location_id,
            fulfillment_order_ids,
            orders_max,
            method,
        };
        let wave = create_wave(&self.ctx, &call, &request)
            .await
            .map_err(status)?;
        let wave = wave.as_ref().map(messages::wave).unwrap_or_default();
        Ok(Response::new(pb::CreateWaveResponse { wave: Some(wave) }))
    }

    async fn get_wave(
        &self,
        request: Request<pb::GetWaveRequest>,
    ) -> Result<Response<pb::GetWaveResponse>, Status> {
        let access = oms_service::access(&request);
        let mut reader = Reader::default();
        let id = reader.required("wave_id", &request.get_ref().wave_id);
        let id = reader.finish(id)?;
        self.within(&access, Thing::Wave(id)).await?;
        let wave = get_wave(&self.ctx, id).await.map_err(status)?;
        Ok(Response::new(pb::GetWaveResponse {
            wave: Some(messages::wave(&wave)),
        }))
    }
}

fn order_ids(ids: &[String], reader: &mut Reader) -> Option<Vec<FulfillmentOrderId>> {
    if !reader.count("fulfillment_order_ids", ids.len(), 0..=ORDERS_MAX) {
        return None;
    }
    let mut read = Vec::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        let id: Option<FulfillmentOrderId> =
            reader.required(format!("fulfillment_order_ids[{index}]"), id);
        read.extend(id);
    }
    reader.distinct(ids, |index| format!("fulfillment_order_ids[{index}]"));
    Some(read)
}

fn method(value: i32, reader: &mut Reader) -> Option<PickMethod> {
    let method = pb::PickMethod::try_from(value).ok();
    if method == Some(pb::PickMethod::Unspecified) {
        return Some(PickMethod::Single);
    }
    let name = method.and_then(|method| method.as_str_name().strip_prefix("PICK_METHOD_"));
    reader.known("method", name)
}
