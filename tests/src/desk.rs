//! The return desk: request, authorize, label, receive, inspect, dispose.

use anyhow::Context;
use oms_proto::returns::v1 as r;

use crate::fresh_id;
use crate::suite::{Actor, answered, wait_for};

impl Actor {
    /// Asks for a return of units by order line.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn request_return(
        &self,
        order_id: &str,
        units: &[(String, i64)],
    ) -> anyhow::Result<r::Return> {
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
        let answer = answered("request return", || async {
            self.clients.returns().request_return(request.clone()).await
        })
        .await?;
        answer.return_order.context("no return")
    }

    /// Authorizes a return and buys its label.
    ///
    /// # Errors
    /// When a step is refused.
    pub async fn authorize_and_label(&self, return_id: &str) -> anyhow::Result<r::Return> {
        let request = r::AuthorizeReturnRequest {
            request_id: fresh_id(),
            return_id: return_id.to_owned(),
            ..Default::default()
        };
        answered("authorize", || async {
            self.clients
                .returns()
                .authorize_return(request.clone())
                .await
        })
        .await?;
        let request = r::IssueReturnLabelRequest {
            request_id: fresh_id(),
            return_id: return_id.to_owned(),
            ..Default::default()
        };
        let answer = answered("label", || async {
            self.clients
                .returns()
                .issue_return_label(request.clone())
                .await
        })
        .await?;
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
        answered("receive", || async {
            self.clients.returns().receive_return(request.clone()).await
        })
        .await?;
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
        answered("inspect", || async {
            self.clients.returns().inspect_return(request.clone()).await
        })
        .await?;
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
        answered("dispose", || async {
            self.clients.returns().dispose_return(request.clone()).await
        })
        .await?;
        Ok(())
    }

    /// Waits until a return is closed.
    ///
    /// # Errors
    /// When it stays open.
    pub async fn closed(&self, return_id: &str) -> anyhow::Result<r::Return> {
        let closed = |ret: &r::Return| ret.state() == r::ReturnState::Closed;
        self.return_when(return_id, "the return to be closed", closed)
            .await
    }

    /// Waits until a return has its label.
    ///
    /// # Errors
    /// When it gets none.
    pub async fn return_labeled(&self, return_id: &str) -> anyhow::Result<r::Return> {
        let labeled = |ret: &r::Return| !ret.tracking_number.is_empty();
        self.return_when(return_id, "the return to be labeled", labeled)
            .await
    }

    async fn return_when(
        &self,
        return_id: &str,
        what: &str,
        test: impl Fn(&r::Return) -> bool,
    ) -> anyhow::Result<r::Return> {
        wait_for(what, || async {
            let request = r::GetReturnRequest {
                return_id: return_id.to_owned(),
            };
            let answer = answered("get return", || async {
                self.clients.returns().get_return(request.clone()).await
            })
            .await?;
            let ret = answer.return_order.context("no return")?;
            Ok(if test(&ret) {
                Ok(ret)
            } else {
                Err(format!("{ret:?}"))
            })
        })
        .await
    }
}
