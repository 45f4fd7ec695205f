//! `oms.fulfillment.v1.PackingService`.

use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::packing_service_server::PackingService;
use tonic::{Request, Response, Status};

use super::Api;
use super::error::status;
use super::read::Reader;
use crate::commands::abandon_pack_session::abandon_pack_session;
use crate::commands::close_pack_session::close_pack_session;
use crate::commands::measure_package::measure_package;
use crate::commands::open_pack_session::open_pack_session;
use crate::commands::scan_pack::{PackScan, scan_pack};
use crate::domain::fulfillment_order::FulfillmentOrder;
use crate::domain::packing::{Measures, PackSession};
use crate::messages;
use crate::queries::get_pack_session::get_pack_session;
use crate::queries::location_of::Thing;

#[tonic::async_trait]
impl PackingService for Api {
    async fn open_pack_session(
        &self,
        request: Request<pb::OpenPackSessionRequest>,
    ) -> Result<Response<pb::OpenPackSessionResponse>, Status> {
        let access = oms_service::access(&request);
        let (message, call, mut reader) = Reader::mutation(request, "OpenPackSession", |message| {
            &mut message.request_id
        });
        let id = reader.required("fulfillment_order_id", &message.fulfillment_order_id);
        let (call, id) = reader.finish(call.zip(id))?;
        self.within(&access, Thing::FulfillmentOrder(id)).await?;
        let found = open_pack_session(&self.ctx, &call, id)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::OpenPackSessionResponse {
            pack_session: Some(answer(&found)),
        }))
    }

    async fn scan_pack(
        &self,
        request: Request<pb::ScanPackRequest>,
    ) -> Result<Response<pb::ScanPackResponse>, Status> {
        let access = oms_service::access(&request);
        let (message, call, mut reader) =
            Reader::mutation(request, "ScanPack", |message| &mut message.request_id);
        let id = reader.required("pack_session_id", &message.pack_session_id);
        reader.number("package_number", message.package_number.into(), 1..=100);
        reader.text("barcode", &message.barcode, 1..=128);
        let quantity = reader.quantity("quantity", message.quantity);
        let ((call, pack_session_id), quantity) = reader.finish(call.zip(id).zip(quantity))?;
        self.within(&access, Thing::PackSession(pack_session_id))
            .await?;
        let pb::ScanPackRequest {
            package_number,
            barcode,
            ..
        } = message;
        let scan = PackScan {
            pack_session_id,
            package_number,
            barcode,
            quantity,
        };
        let found = scan_pack(&self.ctx, &call, &scan).await.map_err(status)?;
        Ok(Response::new(pb::ScanPackResponse {
            pack_session: Some(answer(&found)),
        }))
    }

    async fn measure_package(
        &self,
        request: Request<pb::MeasurePackageRequest>,
    ) -> Result<Response<pb::MeasurePackageResponse>, Status> {
        let access = oms_service::access(&request);
        let (message, call, mut reader) =
            Reader::mutation(request, "MeasurePackage", |message| &mut message.request_id);
        let id = reader.required("pack_session_id", &message.pack_session_id);
        reader.number("package_number", message.package_number.into(), 1..=100);
        reader.number("mass_grams", message.mass_grams, 1..=1_000_000);
        let dimensions = reader.dimensions(message.dimensions);
        let ((call, id), dimensions) = reader.finish(call.zip(id).zip(dimensions))?;
        self.within(&access, Thing::PackSession(id)).await?;
        let measures = Measures {
            mass_grams: message.mass_grams,
            dimensions,
        };
        let found = measure_package(&self.ctx, &call, id, message.package_number, measures)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::MeasurePackageResponse {
            pack_session: Some(answer(&found)),
        }))
    }

    async fn close_pack_session(
        &self,
        request: Request<pb::ClosePackSessionRequest>,
    ) -> Result<Response<pb::ClosePackSessionResponse>, Status> {
        let access = oms_service::access(&request);
        let (message, call, mut reader) =
            Reader::mutation(request, "ClosePackSession", |message| {
                &mut message.request_id
            });
        let id = reader.required("pack_session_id", &message.pack_session_id);
        let etag = reader.etag(&message.etag);
        let (call, id) = reader.finish(call.zip(id))?;
        self.within(&access, Thing::PackSession(id)).await?;
        let found = close_pack_session(&self.ctx, &call, id, etag)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::ClosePackSessionResponse {
            pack_session: Some(answer(&found)),
        }))
    }

    async fn abandon_pack_session(
        &self,
        request: Request<pb::AbandonPackSessionRequest>,
    ) -> Result<Response<pb::AbandonPackSessionResponse>, Status> {
        let access = oms_service::access(&request);
        let (message, call, mut reader) =
            Reader::mutation(request, "AbandonPackSession", |message| {
                &mut message.request_id
            });
        let id = reader.required("pack_session_id", &message.pack_session_id);
        let etag = reader.etag(&message.etag);
        let (call, id) = reader.finish(call.zip(id))?;
        self.within(&access, Thing::PackSession(id)).await?;
        let found = abandon_pack_session(&self.ctx, &call, id, etag)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::AbandonPackSessionResponse {
            pack_session: Some(answer(&found)),
        }))
    }

    async fn get_pack_session(
        &self,
        request: Request<pb::GetPackSessionRequest>,
    ) -> Result<Response<pb::GetPackSessionResponse>, Status> {
        let access = oms_service::access(&request);
        let mut reader = Reader::default();
        let id = reader.required("pack_session_id", &request.get_ref().pack_session_id);
        let id = reader.finish(id)?;
        self.within(&access, Thing::PackSession(id)).await?;
        let found = get_pack_session(&self.ctx, id).await.map_err(status)?;
        Ok(Response::new(pb::GetPackSessionResponse {
            pack_session: Some(answer(&found)),
        }))
    }
}

fn answer((session, order): &(PackSession, FulfillmentOrder)) -> pb::PackSession {
    messages::pack_session(session, order)
}
