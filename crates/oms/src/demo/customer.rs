//! Customers who send something back, about one in ten, and the desk that takes it back.

use std::sync::Arc;

use anyhow::Context;
use oms_proto::order::v1::{Order, OrderLine};
use oms_proto::returns::v1 as r;
use tokio::task::JoinSet;

use super::World;
use super::plan::WAREHOUSES;
use super::retail::hash;
use super::setup::request_id;
use crate::clients::Clients;

/// One completed order in this many is returned, in part or whole.
const RETURN_ONE_IN: u64 = 10;

/// Works until told to stop.
pub(crate) async fn work(world: Arc<World>) -> anyhow::Result<()> {
    let mut completed = world
        .board
        .completed_orders()
        .context("somebody else listens")?;
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = world.done.cancelled() => return Ok(()),
            Some(order) = completed.recv() => {
                if hash(&format!("return/{}", order.external_reference)).is_multiple_of(RETURN_ONE_IN) {
                    world.board.return_wanted();
                    let clients = world.clients.clone();
                    open.spawn(async move { take_back(&clients, &order).await });
                }
            }
            Some(ended) = open.join_next() => ended??,
        }
    }
}

/// The way of a return from the request to the shelf.
async fn take_back(clients: &Clients, order: &Order) -> anyhow::Result<()> {
    let id = |step: &str| request_id(&format!("return/{}/{step}", order.order_id));
    let mut customer = clients.on_behalf_of("user:customer-desk")?.returns();
    let asked = customer
        .request_return(request(order, id("request")))
        .await
        .context("return")?;
    let ret = asked
        .into_inner()
        .return_order
        .context("no return was answered")?;
    let return_id = ret.return_id.clone();
    let authorize = r::AuthorizeReturnRequest {
        request_id: id("authorize"),
        return_id: return_id.clone(),
        ..Default::default()
    };
    customer
        .authorize_return(authorize)
        .await
        .context("authorize")?;
    let label = r::IssueReturnLabelRequest {
        request_id: id("label"),
        return_id: return_id.clone(),
        ..Default::default()
    };
    customer
        .issue_return_label(label)
        .await
        .context("return label")?;
    at_the_desk(clients, &ret, &id).await
}

async fn at_the_desk(
    clients: &Clients,
    ret: &r::Return,
    id: &impl Fn(&str) -> String,
) -> anyhow::Result<()> {
    let mut desk = clients
        .on_behalf_of(&format!("user:desk-{}", ret.location_id))?
        .returns();
    let return_id = ret.return_id.clone();
    let lines = || {
        ret.lines
            .iter()
            .map(|line| (line.return_line_id.clone(), line.advised))
    };
    let receive = r::ReceiveReturnRequest {
        request_id: id("receive"),
        return_id: return_id.clone(),
        etag: String::new(),
        lines: lines()
            .map(|(return_line_id, quantity)| r::ReturnQuantity {
                return_line_id,
                quantity,
            })
            .collect(),
    };
    desk.receive_return(receive).await.context("receive")?;
    let inspect = r::InspectReturnRequest {
        request_id: id("inspect"),
        return_id: return_id.clone(),
        etag: String::new(),
        lines: lines()
            .map(|(return_line_id, quantity)| r::InspectReturnLine {
                condition: condition(&return_line_id).into(),
                return_line_id,
                quantity,
                refund_denied: false,
            })
            .collect(),
    };
    desk.inspect_return(inspect).await.context("inspect")?;
    let dispose = r::DisposeReturnRequest {
        request_id: id("dispose"),
        return_id,
        etag: String::new(),
        lines: lines()
            .map(|(return_line_id, quantity)| r::DisposeReturnLine {
                disposition: disposition(&return_line_id).into(),
                return_line_id,
                quantity,
            })
            .collect(),
    };
    desk.dispose_return(dispose).await.context("dispose")?;
    Ok(())
}

/// The first line whole, or everything.
fn request(order: &Order, request_id: String) -> r::RequestReturnRequest {
    let number = hash(&format!("lines/{}", order.order_id));
    let count = if number.is_multiple_of(2) {
        1
    } else {
        order.lines.len()
    };
    let shipped = order.lines.iter().filter(|line| line.shipped > 0);
    let place = usize::try_from(number >> 8).unwrap_or_default() % WAREHOUSES.len();
    let warehouse = WAREHOUSES.get(place).unwrap_or(&WAREHOUSES[0]);
    r::RequestReturnRequest {
        request_id,
        order_id: order.order_id.clone(),
        lines: shipped.take(count).map(line).collect(),
        refund_timing: r::RefundTiming::OnInspection.into(),
        location_id: warehouse.location_id.to_owned(),
    }
}

fn line(line: &OrderLine) -> r::RequestReturnLine {
    r::RequestReturnLine {
        order_line_id: line.order_line_id.clone(),
        quantity: line.shipped,
        reason: "UNWANTED".to_owned(),
    }
}

fn condition(return_line_id: &str) -> r::ReturnCondition {
    match disposition(return_line_id) {
        r::Disposition::Restock => r::ReturnCondition::Sellable,
        r::Disposition::Quarantine => r::ReturnCondition::Defective,
        _ => r::ReturnCondition::CarrierDamaged,
    }
}

/// Most goods come back as new; some are set apart, some are beyond help.
fn disposition(return_line_id: &str) -> r::Disposition {
    match hash(return_line_id) % 6 {
        0 => r::Disposition::Quarantine,
        1 => r::Disposition::Scrap,
        _ => r::Disposition::Restock,
    }
}
