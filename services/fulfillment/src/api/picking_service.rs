//! `oms.fulfillment.v1.PickingService`.

use oms_core::Principal;
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::picking_service_server::PickingService;
use oms_service::{PageToken, fingerprint, page_size};
use tonic::{Request, Response, Status};

use super::Api;
use super::error::status;
use super::read::Reader;
use crate::commands::assign_pick_list::assign_pick_list;
use crate::commands::report_short_pick::{ShortReport, report_short_pick};
use crate::commands::scan_pick::{PickScan, scan_pick};
use crate::domain::picking::PickListState;
use crate::messages;
use crate::queries::Position;
use crate::queries::get_pick_list::get_pick_list;
use crate::queries::list_pick_lists::{PickListList, list_pick_lists};
use crate::queries::location_of::Thing;

#[tonic::async_trait]
impl PickingService for Api {
    async fn list_pick_lists(
        &self,
        request: Request<pb::ListPickListsRequest>,
    ) -> Result<Response<pb::ListPickListsResponse>, Status> {
        let access = oms_service::access(&request);
        let mut message = request.into_inner();
        let mut reader = Reader::default();
        let page_size = page_size(std::mem::take(&mut message.page_size), reader.violations());
        let token = std::mem::take(&mut message.page_token);
        let location_id = reader.required("location_id", &message.location_id);
        let states = states(&message.states, &mut reader);
        let location_id = reader.finish(location_id)?;
        oms_service::check_location(&access, &location_id)?;
        let filter = fingerprint(&message);
        let after = PageToken::decode::<Position>(&token, &filter)?;
        let list = PickListList {
            location_id,
            states,
            after,
            page_size,
        };
        let (lists, end) = list_pick_lists(&self.ctx, &list).await.map_err(status)?;
        Ok(Response::new(pb::ListPickListsResponse {
            pick_lists: lists.iter().map(messages::pick_list).collect(),
            next_page_token: end
                .map(|end| PageToken::encode(&end, &filter))
                .unwrap_or_default(),
        }))
    }

    async fn get_pick_list(
        &self,
        request: Request<pb::GetPickListRequest>,
    ) -> Result<Response<pb::GetPickListResponse>, Status> {
        let access = oms_service::access(&request);
        let mut reader = Reader::default();
        let id = reader.required("pick_list_id", &request.get_ref().pick_list_id);
        let id = reader.finish(id)?;
        self.within(&access, Thing::PickList(id)).await?;
        let list = get_pick_list(&self.ctx, id).await.map_err(status)?;
        let pick_list = Some(messages::pick_list(&list));
        Ok(Response::new(pb::GetPickListResponse { pick_list }))
    }

    async fn assign_pick_list(
        &self,
        request: Request<pb::AssignPickListRequest>,
    ) -> Result<Response<pb::AssignPickListResponse>, Status> {
        let access = oms_service::access(&request);
        let (message, call, mut reader) =
            Reader::mutation(request, "AssignPickList", |message| &mut message.request_id);
        let id = reader.required("pick_list_id", &message.pick_list_id);
        let etag = reader.etag(&message.etag);
        let assignee = reader.optional::<Principal>("assignee", &message.assignee);
        let (call, id) = reader.finish(call.zip(id))?;
        self.within(&access, Thing::PickList(id)).await?;
        let assignee = assignee.map_or_else(|| call.actor().to_owned(), String::from);
        let list = assign_pick_list(&self.ctx, &call, id, etag, &assignee)
            .await
            .map_err(status)?;
        let pick_list = Some(messages::pick_list(&list));
        Ok(Response::new(pb::AssignPickListResponse { pick_list }))
    }

    async fn scan_pick(
        &self,
        request: Request<pb::ScanPickRequest>,
    ) -> Result<Response<pb::ScanPickResponse>, Status> {
        let access = oms_service::access(&request);
        let (message, call, mut reader) =
            Reader::mutation(request, "ScanPick", |message| &mut message.request_id);
        let pick_list_id = reader.required("pick_list_id", &message.pick_list_id);
        let pick_line_id = reader.optional("pick_line_id", &message.pick_line_id);
        reader.text("barcode", &message.barcode, 1..=128);
        let quantity = reader.quantity("quantity", message.quantity);
        let ((call, pick_list_id), quantity) =
            reader.finish(call.zip(pick_list_id).zip(quantity))?;
        self.within(&access, Thing::PickList(pick_list_id)).await?;
        let scan = PickScan {
            pick_list_id,
            pick_line_id,
            barcode: message.barcode,
            quantity,
        };
        let list = scan_pick(&self.ctx, &call, &scan).await.map_err(status)?;
        let pick_list = Some(messages::pick_list(&list));
        Ok(Response::new(pb::ScanPickResponse { pick_list }))
    }

    async fn report_short_pick(
        &self,
        request: Request<pb::ReportShortPickRequest>,
    ) -> Result<Response<pb::ReportShortPickResponse>, Status> {
        let access = oms_service::access(&request);
        let (message, call, mut reader) = Reader::mutation(request, "ReportShortPick", |message| {
            &mut message.request_id
        });
        let pick_list_id = reader.required("pick_list_id", &message.pick_list_id);
        let pick_line_id = reader.required("pick_line_id", &message.pick_line_id);
        let quantity = reader.quantity("quantity", message.quantity);
        let reason = reader.known("reason", Some(&message.reason));
        let parts = call
            .zip(pick_list_id)
            .zip(pick_line_id)
            .zip(quantity)
            .zip(reason);
        let ((((call, pick_list_id), pick_line_id), quantity), reason) = reader.finish(parts)?;
        self.within(&access, Thing::PickList(pick_list_id)).await?;
        let report = ShortReport {
            pick_list_id,
            pick_line_id,
            quantity,
            reason,
        };
        let list = report_short_pick(&self.ctx, &call, &report)
            .await
            .map_err(status)?;
        let pick_list = Some(messages::pick_list(&list));
        Ok(Response::new(pb::ReportShortPickResponse { pick_list }))
    }
}

fn states(values: &[i32], reader: &mut Reader) -> Vec<PickListState> {
    let mut states = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let state = pb::PickListState::try_from(*value).ok();
        let name = state.and_then(|state| state.as_str_name().strip_prefix("PICK_LIST_STATE_"));
        states.extend(reader.known::<PickListState>(format!("states[{index}]"), name));
    }
    states
}
