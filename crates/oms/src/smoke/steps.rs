//! The way of the order, step by step; whatever happens, nothing of it is left open.

use std::future::Future;
use std::time::Instant;

use oms_proto::inventory::v1::ReservationState;
use oms_proto::order::v1::{Order, OrderState, PaymentKind};

use super::prepare::{self, fresh_id};
use super::report::{Failure, Report, Step};
use super::{Plan, looks};
use crate::clients::Clients;

/// Takes the order there and back. A step that fails ends it; then the order is canceled.
pub async fn run(clients: &Clients, plan: &Plan) -> Report {
    let mut run = Run {
        clients,
        plan,
        report: Report {
            passed: false,
            external_reference: format!("smoke-{}", fresh_id()),
            order_id: None,
            order_number: None,
            steps: Vec::new(),
            left_open: None,
        },
        is_asked: false,
    };
    let passed = Box::pin(run.there_and_back()).await.is_some();
    run.report.passed = passed;
    if !passed && run.is_asked {
        run.clean_up().await;
    }
    run.report
}

struct Run<'a> {
    clients: &'a Clients,
    plan: &'a Plan,
    report: Report,
    /// Whether the order was asked for, so that there may be one.
    is_asked: bool,
}

impl Run<'_> {
    /// `None` after a step that failed.
    async fn there_and_back(&mut self) -> Option<()> {
        let (clients, plan) = (self.clients, self.plan);
        if plan.prepare {
            self.step(
                "prepare",
                "order, inventory",
                Box::pin(prepare::everything(clients, plan)),
            )
            .await?;
        }
        self.step("stock", "inventory", looks::stock(clients, plan))
            .await?;
        let order = self.confirmed().await?;
        let id = order.order_id.as_str();
        let (allocated, released) = (ReservationState::Allocated, ReservationState::Released);
        self.step(
            "reserve",
            "inventory",
            looks::reserved_as(clients, plan, id, allocated),
        )
        .await?;
        self.step(
            "authorize",
            "order",
            looks::authorized(clients, plan, &order),
        )
        .await?;
        self.step(
            "release",
            "fulfillment",
            looks::fulfillment(clients, plan, id, false),
        )
        .await?;
        self.step("rates", "shipping", looks::rates(clients, plan, &order))
            .await?;
        self.step("returns", "returns", looks::returns(clients, plan, id))
            .await?;

        self.step(
            "cancel",
            "order",
            Box::pin(looks::cancel(clients, plan.patience, id)),
        )
        .await?;
        self.step(
            "recall",
            "fulfillment",
            looks::fulfillment(clients, plan, id, true),
        )
        .await?;
        self.step(
            "give back",
            "inventory",
            looks::reserved_as(clients, plan, id, released),
        )
        .await?;
        self.step(
            "void",
            "order",
            looks::payment(clients, plan, id, PaymentKind::Void),
        )
        .await?;
        Some(())
    }

    /// Places the order and waits for its confirmation.
    async fn confirmed(&mut self) -> Option<Order> {
        let (clients, plan) = (self.clients, self.plan);
        let reference = self.report.external_reference.clone();
        self.is_asked = true;
        let placed = async {
            let order = looks::place(clients, plan, &reference).await?;
            Ok((order.order_number.clone(), order))
        };
        let order = self.step_with("place", "order", placed).await?;
        self.report.order_id = Some(order.order_id.clone());
        self.report.order_number = Some(order.order_number.clone());
        let wanted = [OrderState::Confirmed];
        let confirmed = async {
            let order = looks::order_in(clients, plan.patience, &order.order_id, &wanted).await?;
            Ok((order.phase.clone(), order))
        };
        self.step_with("confirm", "order", confirmed).await
    }

    /// Closes the order after a failure, and says when that is in doubt.
    async fn clean_up(&mut self) {
        if let Err(failure) = self.close().await {
            let order = match &self.report.order_id {
                Some(id) => format!("order {id}"),
                None => format!(
                    "the order with the reference {} of channel {}, if there is one",
                    self.report.external_reference, self.plan.channel_id
                ),
            };
            self.report.left_open = Some(format!("{order}: {failure}"));
        }
    }

    async fn close(&mut self) -> Result<(), Failure> {
        let (clients, plan) = (self.clients, self.plan);
        let reference = self.report.external_reference.clone();
        let Some(order) = looks::find(clients, plan, &reference).await? else {
            return Ok(());
        };
        self.report.order_id = Some(order.order_id.clone());
        self.report.order_number = Some(order.order_number.clone());
        if !looks::is_over(&order) {
            looks::cancel(clients, plan.patience, &order.order_id).await?;
        }
        looks::holds_nothing(clients, plan.patience, &order.order_id).await
    }

    async fn step(
        &mut self,
        name: &'static str,
        service: &'static str,
        look: impl Future<Output = Result<String, Failure>>,
    ) -> Option<()> {
        let look = async { Ok((look.await?, ())) };
        self.step_with(name, service, look).await
    }

    /// Takes a step, whose look answers what it saw and a value.
    async fn step_with<T>(
        &mut self,
        name: &'static str,
        service: &'static str,
        look: impl Future<Output = Result<(String, T), Failure>>,
    ) -> Option<T> {
        let started = Instant::now();
        let (seen, failure, value) = match look.await {
            Ok((seen, value)) => (seen, None, Some(value)),
            Err(failure) => (String::new(), Some(failure), None),
        };
        let milliseconds = started.elapsed().as_millis();
        self.report.steps.push(Step {
            name,
            service,
            milliseconds: u64::try_from(milliseconds).unwrap_or(u64::MAX),
            seen,
            failure,
        });
        value
    }
}
