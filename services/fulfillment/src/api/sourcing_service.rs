//! `oms.fulfillment.v1.SourcingService`.

use oms_core::{LocationId, Sku};
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::sourcing_service_server::SourcingService;
use tonic::{Request, Response, Status};

use super::Api;
use super::error::status;
use super::read::Reader;
use crate::commands::propose_sourcing::propose_sourcing;
use crate::domain::sourcing::{Demand, DemandLine};
use crate::messages;
use crate::queries::explain_decision::explain_decision;

/// Most lines of a request, and locations that it may exclude.
const LINES_MAX: usize = 500;
const EXCLUDED_MAX: usize = 500;

#[tonic::async_trait]
impl SourcingService for Api {
    async fn propose_sourcing(
        &self,
        request: Request<pb::ProposeSourcingRequest>,
    ) -> Result<Response<pb::ProposeSourcingResponse>, Status> {
        let (message, call, mut reader) = Reader::mutation(request, "ProposeSourcing", |message| {
            &mut message.request_id
        });
        let demand = demand(message, &mut reader);
        let (call, demand) = reader.finish(call.zip(demand))?;
        let proposal = propose_sourcing(&self.ctx, &call, &demand)
            .await
            .map_err(status)?;
        let proposal = Some(messages::proposal(&proposal));
        Ok(Response::new(pb::ProposeSourcingResponse { proposal }))
    }

    async fn explain_decision(
        &self,
        request: Request<pb::ExplainDecisionRequest>,
    ) -> Result<Response<pb::ExplainDecisionResponse>, Status> {
        let mut reader = Reader::default();
        let id = reader.required("proposal_id", &request.get_ref().proposal_id);
        let id = reader.finish(id)?;
        let proposal = explain_decision(&self.ctx, id).await.map_err(status)?;
        oms_telemetry::record_order_id(&tracing::Span::current(), proposal.demand.order_id);
        let proposal = Some(messages::proposal(&proposal));
        Ok(Response::new(pb::ExplainDecisionResponse { proposal }))
    }
}

fn demand(message: pb::ProposeSourcingRequest, reader: &mut Reader) -> Option<Demand> {
    let order_id = reader.required("order_id", &message.order_id);
    let destination = reader.destination(message.destination);
    let lines = lines(&message.lines, reader);
    // Absent preferences leave everything to the rules.
    let preferences = message.preferences.unwrap_or(pb::SourcingPreferences {
        splits_max: -1,
        ..pb::SourcingPreferences::default()
    });
    let fill_policy = reader.fill_policy("preferences.fill_policy", preferences.fill_policy);
    let service_level =
        reader.service_level("preferences.service_level", preferences.service_level);
    reader.number(
        "preferences.splits_max",
        preferences.splits_max.into(),
        -1..=i64::from(i32::MAX),
    );
    let excluded = excluded(&message.excluded_location_ids, reader);
    let destination = destination?;
    Some(Demand {
        order_id: order_id?,
        country_code: destination.country_code,
        postal_code: destination.postal_code,
        lines: lines?,
        fill_policy: fill_policy?,
        service_level: service_level?,
        splits_max: (preferences.splits_max >= 0).then_some(preferences.splits_max),
        excluded_location_ids: excluded?,
    })
}

fn lines(lines: &[pb::SourcingLine], reader: &mut Reader) -> Option<Vec<DemandLine>> {
    if !reader.count("lines", lines.len(), 1..=LINES_MAX) {
        return None;
    }
    let mut read = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let at = |field: &str| format!("lines[{index}].{field}");
        let order_line_id = reader.required(at("order_line_id"), &line.order_line_id);
        let sku: Option<Sku> = reader.required(at("sku"), &line.sku);
        let quantity = reader.quantity(at("quantity"), line.quantity);
        if let (Some(order_line_id), Some(sku), Some(quantity)) = (order_line_id, sku, quantity) {
            read.push(DemandLine {
                order_line_id,
                sku: sku.into(),
                quantity,
            });
        }
    }
    let ids = read.iter().map(|line| line.order_line_id);
    reader.distinct(ids, |index| format!("lines[{index}].order_line_id"));
    Some(read)
}

fn excluded(ids: &[String], reader: &mut Reader) -> Option<Vec<LocationId>> {
    if !reader.count("excluded_location_ids", ids.len(), 0..=EXCLUDED_MAX) {
        return None;
    }
    let read = ids
        .iter()
        .enumerate()
        .filter_map(|(index, id)| reader.required(format!("excluded_location_ids[{index}]"), id));
    Some(read.collect())
}
