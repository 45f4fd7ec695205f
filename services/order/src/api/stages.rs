//! What open orders wait for, and whether they are late.

use oms_core::Violations;
use oms_proto::order::v1 as pb;
use oms_service::{PageToken, fingerprint, page_size};
use time::Duration;
use tonic::{Response, Status};
use uuid::Uuid;

use super::Api;
use super::error::status;
use super::requests::{next_page, of_position, position, refuse};
use crate::domain::stage::Stage;
use crate::messages;
use crate::queries::get_backlog::get_backlog;
use crate::queries::list_at_risk::list_at_risk;

impl Api {
    pub(super) async fn answer_list_at_risk(
        &self,
        mut message: pb::ListAtRiskRequest,
    ) -> Result<Response<pb::ListAtRiskResponse>, Status> {
        let mut violations = Violations::default();
        let size = page_size(message.page_size, &mut violations);
        let token = std::mem::take(&mut message.page_token);
        message.page_size = 0;
        let seal = fingerprint(&message);
        let stage = stage(message.stage, &mut violations);
        let within = within(message.within, &mut violations);
        refuse(violations)?;
        let after = PageToken::decode::<(i64, Uuid)>(&token, &seal)?.and_then(of_position);
        let mut found = list_at_risk(&self.ctx, stage, within, after, size + 1)
            .await
            .map_err(status)?;
        let next_page_token = next_page(&mut found, size, &seal, |last| {
            position(last.due, last.order_id.uuid())
        });
        let now = self.ctx.now();
        Ok(Response::new(pb::ListAtRiskResponse {
            orders: found
                .iter()
                .map(|one| messages::at_risk(now, one))
                .collect(),
            next_page_token,
        }))
    }

    pub(super) async fn answer_get_backlog(
        &self,
    ) -> Result<Response<pb::GetBacklogResponse>, Status> {
        let rows = get_backlog(&self.ctx).await.map_err(status)?;
        let now = self.ctx.now();
        let rows = rows.iter().map(|row| messages::backlog(now, row));
        Ok(Response::new(pb::GetBacklogResponse {
            rows: rows.collect(),
        }))
    }
}

fn stage(number: i32, violations: &mut Violations) -> Option<Stage> {
    match pb::OrderStage::try_from(number) {
        Ok(pb::OrderStage::Unspecified) => None,
        Ok(pb::OrderStage::Authorize) => Some(Stage::Authorize),
        Ok(pb::OrderStage::Release) => Some(Stage::Release),
        Ok(pb::OrderStage::Pick) => Some(Stage::Pick),
        Ok(pb::OrderStage::Ship) => Some(Stage::Ship),
        Err(_) => {
            violations.push("stage", "FIELD_MALFORMED", "is no stage of an order");
            None
        }
    }
}

fn within(within: Option<prost_types::Duration>, violations: &mut Violations) -> Option<Duration> {
    let within = within?;
    let is_fit = (0..=31_536_000).contains(&within.seconds) && within.nanos >= 0;
    violations.check(
        is_fit,
        "within",
        "FIELD_OUT_OF_RANGE",
        "must be between 0 and 365 days",
    );
    Some(Duration::new(within.seconds, within.nanos))
}
