//! Returns.

use anyhow::Context;
use oms_proto::common::v1::ErrorReason;
use oms_proto::returns::v1 as r;
use oms_tests::fresh_id;

use crate::table::{Table, illegal, invalid, refused, stale};
use crate::world::World;

pub(crate) async fn cases(world: &World, table: &mut Table) -> anyhow::Result<()> {
    asking(world, table).await?;
    deciding(world, table).await;
    goods(world, table).await?;
    Ok(())
}

async fn asking(world: &World, table: &mut Table) -> anyhow::Result<()> {
    let mut returns = world.suite.clients.returns();
    let line = world.done.lines.first().context("no line")?;
    let request = |order_id: &str, order_line_id: &str, quantity| r::RequestReturnRequest {
        request_id: fresh_id(),
        order_id: order_id.to_owned(),
        lines: vec![r::RequestReturnLine {
            order_line_id: order_line_id.to_owned(),
            quantity,
            reason: "UNWANTED".to_owned(),
        }],
        refund_timing: 0,
        location_id: "west".to_owned(),
    };
    // Of three shipped units two are in other returns.
    let wanted = request(&world.done.order_id, &line.order_line_id, 2);
    let expected = format!(
        "{} | lines[0].quantity NOT_RETURNABLE",
        refused(ErrorReason::NotReturnable)
    );
    table.case(
        "returning too many",
        returns.request_return(wanted).await,
        &expected,
    );
    let open = world.open.lines.first().context("no line")?;
    let wanted = request(&world.open.order_id, &open.order_line_id, 1);
    table.case(
        "returning what was not shipped",
        returns.request_return(wanted).await,
        &expected,
    );
    let wanted = request(&world.done.order_id, &fresh_id(), 1);
    let expected = invalid(&["lines[0].order_line_id REFERENCE_UNKNOWN"]);
    table.case(
        "returning a line of nobody",
        returns.request_return(wanted).await,
        &expected,
    );
    let wanted = request(&fresh_id(), &line.order_line_id, 1);
    let expected = invalid(&["order_id REFERENCE_UNKNOWN"]);
    table.case(
        "returning of an order of nobody",
        returns.request_return(wanted).await,
        &expected,
    );
    let mut wanted = request("WEB-1", &line.order_line_id, 0);
    wanted.lines.push(r::RequestReturnLine {
        quantity: i64::MIN,
        reason: "BORED".to_owned(),
        order_line_id: line.order_line_id.clone(),
    });
    wanted.refund_timing = 99;
    wanted.location_id = "West Side".to_owned();
    let expected = invalid(&[
        "order_id FIELD_MALFORMED",
        "location_id FIELD_MALFORMED",
        "refund_timing FIELD_MALFORMED",
        "lines[0].quantity QUANTITY_INVALID",
        "lines[1].quantity QUANTITY_INVALID",
        "lines[1].reason FIELD_MALFORMED",
        "lines[1].order_line_id DUPLICATE",
    ]);
    table.case(
        "a return all wrong",
        returns.request_return(wanted).await,
        &expected,
    );
    let mut wanted = request(&world.done.order_id, &line.order_line_id, 1);
    wanted.lines = vec![wanted.lines[0].clone(); 10_000];
    for line in &mut wanted.lines {
        line.order_line_id = fresh_id();
    }
    let expected = invalid(&["lines FIELD_OUT_OF_RANGE"]);
    table.case(
        "a return of 10 000 lines",
        returns.request_return(wanted).await,
        &expected,
    );
    Ok(())
}

async fn deciding(world: &World, table: &mut Table) {
    let mut returns = world.suite.clients.returns();
    let authorize = |ret: &r::Return, etag: &str| r::AuthorizeReturnRequest {
        request_id: fresh_id(),
        return_id: ret.return_id.clone(),
        etag: etag.to_owned(),
    };
    let answer = returns
        .authorize_return(authorize(&world.authorized, ""))
        .await;
    let expected = illegal("return", "AUTHORIZED", "authorize");
    table.case("authorizing twice", answer, &expected);
    let answer = returns
        .authorize_return(authorize(&world.requested, "9"))
        .await;
    table.case("authorizing an old return", answer, &stale());
    let decline = |ret: &r::Return, reason: &str| r::DeclineReturnRequest {
        request_id: fresh_id(),
        return_id: ret.return_id.clone(),
        reason: reason.to_owned(),
        ..Default::default()
    };
    let answer = returns
        .decline_return(decline(&world.authorized, "late"))
        .await;
    let expected = illegal("return", "AUTHORIZED", "decline");
    table.case("declining what is authorized", answer, &expected);
    let answer = returns.decline_return(decline(&world.requested, "")).await;
    let expected = invalid(&["reason FIELD_REQUIRED"]);
    table.case("declining without a reason", answer, &expected);
    let request = r::IssueReturnLabelRequest {
        request_id: fresh_id(),
        return_id: world.requested.return_id.clone(),
        etag: String::new(),
    };
    let expected = illegal("return", "REQUESTED", "issue_label");
    table.case(
        "a label too early",
        returns.issue_return_label(request).await,
        &expected,
    );
}

async fn goods(world: &World, table: &mut Table) -> anyhow::Result<()> {
    let mut returns = world.suite.clients.returns();
    let line_of = |ret: &r::Return| -> anyhow::Result<String> {
        Ok(ret.lines.first().context("no line")?.return_line_id.clone())
    };
    let receive = |ret: &r::Return, return_line_id: String, quantity| r::ReceiveReturnRequest {
        request_id: fresh_id(),
        return_id: ret.return_id.clone(),
        etag: String::new(),
        lines: vec![r::ReturnQuantity {
            return_line_id,
            quantity,
        }],
    };
    let request = receive(&world.requested, line_of(&world.requested)?, 1);
    let expected = illegal("return", "REQUESTED", "receive");
    table.case(
        "receiving too early",
        returns.receive_return(request).await,
        &expected,
    );
    let request = receive(&world.authorized, line_of(&world.authorized)?, 2);
    let expected = format!(
        "{} | lines[0].quantity QUANTITY_EXCEEDS_OPEN",
        refused(ErrorReason::QuantityExceedsOpen)
    );
    table.case(
        "receiving too many",
        returns.receive_return(request).await,
        &expected,
    );
    let request = receive(&world.authorized, line_of(&world.requested)?, 1);
    let expected = invalid(&["lines[0].return_line_id REFERENCE_UNKNOWN"]);
    table.case(
        "receiving another's line",
        returns.receive_return(request).await,
        &expected,
    );
    let request = r::InspectReturnRequest {
        request_id: fresh_id(),
        return_id: world.authorized.return_id.clone(),
        etag: String::new(),
        lines: vec![r::InspectReturnLine {
            return_line_id: line_of(&world.authorized)?,
            quantity: 1,
            condition: r::ReturnCondition::Sellable.into(),
            refund_denied: false,
        }],
    };
    let expected = illegal("return", "AUTHORIZED", "inspect");
    table.case(
        "inspecting too early",
        returns.inspect_return(request).await,
        &expected,
    );
    let request = r::DisposeReturnRequest {
        request_id: fresh_id(),
        return_id: world.authorized.return_id.clone(),
        etag: String::new(),
        lines: vec![r::DisposeReturnLine {
            return_line_id: line_of(&world.authorized)?,
            quantity: 1,
            disposition: r::Disposition::Restock.into(),
        }],
    };
    let expected = illegal("return", "AUTHORIZED", "dispose");
    table.case(
        "disposing too early",
        returns.dispose_return(request).await,
        &expected,
    );
    Ok(())
}
