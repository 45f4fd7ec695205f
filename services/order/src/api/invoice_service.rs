//! InvoiceService.

use oms_core::{InvoiceId, OrderId, Violations};
use oms_proto::common::v1::{Document, DocumentFormat};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::invoice_service_server::InvoiceService;
use tonic::{Request, Response, Status};

use super::Api;
use super::error::status;
use super::requests::{id, refused};
use crate::messages;
use crate::queries::channel_of::Thing;
use crate::queries::get_invoice_document::get_invoice_document;
use crate::queries::list_invoices::list_invoices;

#[tonic::async_trait]
impl InvoiceService for Api {
    async fn list_invoices(
        &self,
        request: Request<pb::ListInvoicesRequest>,
    ) -> Result<Response<pb::ListInvoicesResponse>, Status> {
        let access = oms_service::access(&request);
        let mut violations = Violations::default();
        let order_id = id::<OrderId>(&request.get_ref().order_id, "order_id", &mut violations);
        let Some(order_id) = order_id else {
            return Err(refused(violations));
        };
        self.within(&access, Thing::Order(order_id)).await?;
        oms_telemetry::record_order_id(&tracing::Span::current(), order_id);
        let (order, found) = list_invoices(&self.ctx, order_id).await.map_err(status)?;
        let invoices = found.iter().map(|one| messages::invoice(&order, one));
        Ok(Response::new(pb::ListInvoicesResponse {
            invoices: invoices.collect(),
        }))
    }

    async fn get_invoice_document(
        &self,
        request: Request<pb::GetInvoiceDocumentRequest>,
    ) -> Result<Response<pb::GetInvoiceDocumentResponse>, Status> {
        let access = oms_service::access(&request);
        let mut violations = Violations::default();
        let text = &request.get_ref().invoice_id;
        let Some(invoice_id) = id::<InvoiceId>(text, "invoice_id", &mut violations) else {
            return Err(refused(violations));
        };
        self.within(&access, Thing::Invoice(invoice_id)).await?;
        let rendered = get_invoice_document(&self.ctx, invoice_id).await;
        let rendered = rendered.map_err(status)?;
        Ok(Response::new(pb::GetInvoiceDocumentResponse {
            document: Some(Document {
                format: DocumentFormat::Pdf.into(),
                media_type: "application/pdf".to_owned(),
                file_name: rendered.file_name,
                content: rendered.pdf,
            }),
        }))
    }
}
