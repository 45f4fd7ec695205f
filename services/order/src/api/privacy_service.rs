//! PrivacyService.

use oms_core::{OrderId, Violations};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::privacy_service_server::PrivacyService;
use oms_proto::time_to_proto;
use oms_service::{PageToken, fingerprint, page_size, principal, request_id};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::Api;
use super::error::status;
use super::requests::{caller, id, next_page, of_position, position, refuse, refused};
use crate::commands::erase_customer::erase_customer;
use crate::domain::erasure::Subject;
use crate::queries::export_customer_data::{export_customer_data, subject_of};

#[tonic::async_trait]
impl PrivacyService for Api {
    async fn erase_customer(
        &self,
        request: Request<pb::EraseCustomerRequest>,
    ) -> Result<Response<pb::EraseCustomerResponse>, Status> {
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        let subject = subject(&message.customer_id, &message.order_id, &mut violations);
        let (Some(request_id), Some(subject)) = (request_id, subject) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let subject = self.resolve(subject).await?;
        let caller = caller(principal, request_id, &message);
        let erased = erase_customer(&self.ctx, &caller, &subject).await;
        let erased = erased.map_err(status)?;
        Ok(Response::new(pb::EraseCustomerResponse {
            erase_time: Some(time_to_proto(erased.erased_at)),
        }))
    }

    async fn export_customer_data(
        &self,
        request: Request<pb::ExportCustomerDataRequest>,
    ) -> Result<Response<pb::ExportCustomerDataResponse>, Status> {
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let size = page_size(message.page_size, &mut violations);
        let subject = subject(&message.customer_id, &message.order_id, &mut violations);
        let Some(subject) = subject else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let token = std::mem::take(&mut message.page_token);
        message.page_size = 0;
        let seal = fingerprint(&message);
        let after = PageToken::decode::<(i64, Uuid)>(&token, &seal)?.and_then(of_position);
        let subject = self.resolve(subject).await?;
        let mut found = export_customer_data(&self.ctx, &subject, after, size + 1)
            .await
            .map_err(status)?;
        let next_page_token = next_page(&mut found, size, &seal, |((time, order_id), _)| {
            position(*time, *order_id)
        });
        Ok(Response::new(pb::ExportCustomerDataResponse {
            orders: found.into_iter().map(|(_, order)| order).collect(),
            next_page_token,
        }))
    }
}

impl Api {
    /// An order that names a customer is the customer's.
    async fn resolve(&self, subject: Subject) -> Result<Subject, Status> {
        match subject {
            Subject::Order(order_id) => subject_of(&self.ctx, order_id).await.map_err(status),
            customer @ Subject::Customer(_) => Ok(customer),
        }
    }
}

/// Whose data the request names: a customer's or an order's, not both.
fn subject(customer_id: &str, order_id: &str, violations: &mut Violations) -> Option<Subject> {
    if customer_id.is_empty() == order_id.is_empty() {
        let message = "must be set, or order_id, and not both";
        violations.push("customer_id", "FIELD_REQUIRED", message);
        return None;
    }
    if customer_id.is_empty() {
        return id::<OrderId>(order_id, "order_id", violations).map(Subject::Order);
    }
    Some(Subject::Customer(customer_id.to_owned()))
}
