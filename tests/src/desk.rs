//! The return desk: request, authorize, label, receive, inspect, dispose.

use anyhow::Context;
use oms_proto::returns::v1 as r;

use crate::fresh_id;
use crate::suite::{Actor, wait_for};

impl Actor {
    /// Asks for a return of units by order line.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn request_return(
        &self,
        order_id: &str,
        units: &[(String, i64)],
    ) -> Result<r::Return, tonic::Status> {
        let line = |(order_line_id, quantity): &(String, i64)| r::RequestReturnLine {
            order_line_id: order_line_id.clone(),
            quantity: *quantity,
            reason: "UNWANTED".to_owned(),
        };
        let request = r::RequestReturnRequest {
            request_id: fresh_id(),
            order_id: order_id.to_owned(),
            lines: units.iter().map(line).collect(),
            refund_timing: r::RefundTiming::OnInspection.into(),
            location_id: "west".to_owned(),
        };
        let answer = self
            .clients
            .returns()
            .request_return(request)
            .await?
            .into_inner();
        answer
            .return_order
            .ok_or_else(|| tonic::Status::internal("no return was answered"))
    }

    /// Authorizes a return and buys its label.
    ///
    /// # Errors
    /// When a step is refused.
    pub async fn authorize_and_label(&self, return_id: &str) -> anyhow::Result<r::Return> {
        let mut returns = self.clients.returns();
        let request = r::AuthorizeReturnRequest {
            request_id: fresh_id(),
            return_id: return_id.to_owned(),
            ..Default::default()
        };
        returns
            .authorize_return(request)
            .await
            .context("authorize")?;
        let request = r::IssueReturnLabelRequest {
            request_id: fresh_id(),
            return_id: return_id.to_owned(),
            ..Default::default()
        };
        let answer = returns
            .issue_return_label(request)
            .await
            .context("label")?
            .into_inner();
        answer.return_order.context("no return")
    }

    /// Receives, inspects and disposes of everything in a return.
    ///
    /// # Errors
    /// When a step is refused.
    pub async fn take_back(
        &self,
        ret: &r::Return,
        disposition: r::Disposition,
    ) -> anyhow::Result<()> {
        let mut returns = self.clients.returns();
        let (return_id, lines) = (&ret.return_id, &ret.lines);
        let request = r::ReceiveReturnRequest {
            request_id: fresh_id(),
            return_id: return_id.clone(),
            etag: String::new(),
            lines: lines
                .iter()
                .map(|line| r::ReturnQuantity {
                    return_line_id: line.return_line_id.clone(),
                    quantity: line.advised,
                })
                .collect(),
        };
        returns.receive_return(request).await.context("receive")?;
        let request = r::InspectReturnRequest {
            request_id: fresh_id(),
            return_id: return_id.clone(),
            etag: String::new(),
            lines: lines
                .iter()
                .map(|line| r::InspectReturnLine {
                    return_line_id: line.return_line_id.clone(),
                    quantity: line.advised,
                    condition: r::ReturnCondition::Sellable.into(),
                    refund_denied: false,
                })
                .collect(),
        };
        returns.inspect_return(request).await.context("inspect")?;
        let request = r::DisposeReturnRequest {
            request_id: fresh_id(),
            return_id: return_id.clone(),
            etag: String::new(),
            lines: lines
                .iter()
                .map(|line| r::DisposeReturnLine {
                    return_line_id: line.return_line_id.clone(),
                    quantity: line.advised,
                    disposition: disposition.into(),
                })
                .collect(),
        };
        returns.dispose_return(request).await.context("dispose")?;
        Ok(())
    }

    /// Waits until a return is closed.
    ///
    /// # Errors
    /// When it stays open.
    pub async fn closed(&self, return_id: &str) -> anyhow::Result<r::Return> {
        wait_for("the return to be closed", || async {
            let request = r::GetReturnRequest {
                return_id: return_id.to_owned(),
            };
            let answer = self
                .clients
                .returns()
                .get_return(request)
                .await?
                .into_inner();
            let ret = answer.return_order.context("no return")?;
            Ok(if ret.state() == r::ReturnState::Closed {
                Ok(ret)
            } else {
                Err(format!("{ret:?}"))
            })
        })
        .await
    }
}
