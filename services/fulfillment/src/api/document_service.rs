//! `oms.fulfillment.v1.DocumentService`.

use oms_proto::common::v1 as common;
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::document_service_server::DocumentService;
use tonic::{Request, Response, Status};

use super::Api;
use super::error::status;
use super::read::Reader;
use crate::queries::Document;
use crate::queries::get_packing_slip::get_packing_slip;
use crate::queries::get_pick_list_document::get_pick_list_document;
use crate::queries::location_of::Thing;

#[tonic::async_trait]
impl DocumentService for Api {
    async fn get_pick_list_document(
        &self,
        request: Request<pb::GetPickListDocumentRequest>,
    ) -> Result<Response<pb::GetPickListDocumentResponse>, Status> {
        let access = oms_service::access(&request);
        let mut reader = Reader::default();
        let id = reader.required("pick_list_id", &request.get_ref().pick_list_id);
        let id = reader.finish(id)?;
        self.within(&access, Thing::PickList(id)).await?;
        let document = get_pick_list_document(&self.ctx, id)
            .await
            .map_err(status)?;
        let document = Some(message(document));
        Ok(Response::new(pb::GetPickListDocumentResponse { document }))
    }

    async fn get_packing_slip(
        &self,
        request: Request<pb::GetPackingSlipRequest>,
    ) -> Result<Response<pb::GetPackingSlipResponse>, Status> {
        let access = oms_service::access(&request);
        let mut reader = Reader::default();
        let id = reader.required("pack_session_id", &request.get_ref().pack_session_id);
        let id = reader.finish(id)?;
        self.within(&access, Thing::PackSession(id)).await?;
        let document = get_packing_slip(&self.ctx, id).await.map_err(status)?;
        Ok(Response::new(pb::GetPackingSlipResponse {
            document: Some(message(document)),
        }))
    }
}

fn message(document: Document) -> common::Document {
    common::Document {
        format: common::DocumentFormat::Pdf.into(),
        media_type: "application/pdf".to_owned(),
        file_name: document.file_name,
        content: document.pdf,
    }
}
