//! What goes wrong on the way, and how it ends.

use anyhow::{Context, ensure};
use oms_proto::common::v1::{ErrorReason, FillPolicy};
use oms_proto::fulfillment::v1 as f;
use oms_proto::inventory::v1 as i;
use oms_proto::order::v1 as o;
use oms_proto::shipping::v1::TrackingStatus;
use oms_service::PeerError;
use oms_tests::shop::{barcode, new_order};
use oms_tests::suite::TestSuite;
use oms_tests::{fresh_id, id};

async fn suite_with(stock: &[(&str, &str, i64)]) -> anyhow::Result<TestSuite> {
    let suite = TestSuite::start().await?;
    let mut skus: Vec<&str> = stock.iter().map(|(_, sku, _)| *sku).collect();
    skus.dedup();
    suite.set_up(&skus).await?;
    for (location_id, sku, units) in stock.iter().filter(|(.., units)| *units > 0) {
        suite.receive(location_id, sku, *units).await?;
    }
    Ok(suite)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_rejects_the_order_and_gives_the_stock_back() -> anyhow::Result<()> {
    let suite = suite_with(&[("west", "a", 5)]).await?;
    let mut declined = new_order(&[("a", 2)]);
    declined.payment_method.as_mut().context("method")?.token = "tok_decline".to_owned();
    let order = suite.place(declined).await?;
    let order = suite
        .order_in(&order.order_id, o::OrderState::Rejected)
        .await?;
    ensure!(
        order.state_reason == "PAYMENT_DECLINED",
        "{}",
        order.state_reason
    );
    suite.verify().await?;
    ensure!(
        suite
            .levels("a")
            .await?
            .iter()
            .all(|level| level.available == 5)
    );
    suite.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_out_of_stock_line_rejects_the_order_and_nobody_is_charged() -> anyhow::Result<()> {
    let suite = suite_with(&[("west", "a", 5), ("west", "b", 1)]).await?;
    let order = suite.place(new_order(&[("a", 1), ("b", 2)])).await?;
    let order = suite
        .order_in(&order.order_id, o::OrderState::Rejected)
        .await?;
    ensure!(
        order.state_reason == "OUT_OF_STOCK",
        "{}",
        order.state_reason
    );
    let request = o::ListPaymentsRequest {
        order_id: order.order_id,
    };
    let payments = suite
        .clients
        .payments()
        .list_payments(request)
        .await?
        .into_inner()
        .payments;
    ensure!(payments.is_empty(), "{payments:?}");
    suite.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_split_over_locations_and_captured_per_shipment() -> anyhow::Result<()> {
    let suite = suite_with(&[("west", "a", 2), ("east", "b", 2)]).await?;
    let order = suite.place(new_order(&[("a", 2), ("b", 1)])).await?;
    let orders = suite.released(&order.order_id, 2).await?;
    for fo in &orders {
        suite.fulfill(fo).await?;
    }
    let done = suite
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    let totals = done.totals.context("totals")?;
    ensure!(totals.captured == totals.total, "{totals:?}");
    ensure!(done.shipment_ids.len() == 2, "{:?}", done.shipment_ids);
    suite.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fulfillment_order_ships_in_two_shipments() -> anyhow::Result<()> {
    let suite = suite_with(&[("west", "a", 5)]).await?;
    let order = suite.place(new_order(&[("a", 3)])).await?;
    let [fo] = suite
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    suite.pick_all(&fo).await?;
    for units in [1, 2] {
        let session = suite
            .pack(&fo.fulfillment_order_id, &[(barcode("a"), units)])
            .await?;
        let shipment = suite.labeled(&session).await?;
        suite.ship(&shipment).await?;
        suite.track(&shipment, TrackingStatus::Delivered).await?;
    }
    let done = suite
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    let request = o::ListInvoicesRequest {
        order_id: done.order_id.clone(),
    };
    let invoices = suite
        .clients
        .invoices()
        .list_invoices(request)
        .await?
        .into_inner()
        .invoices;
    let billed: i64 = invoices
        .iter()
        .filter_map(|one| one.total.as_ref())
        .map(|total| total.minor_units)
        .sum();
    let total = done
        .totals
        .context("totals")?
        .total
        .context("total")?
        .minor_units;
    ensure!(
        invoices.len() == 2 && billed == total,
        "{billed} of {total}: {invoices:?}"
    );
    suite.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_pick_is_sourced_from_another_location() -> anyhow::Result<()> {
    let suite = suite_with(&[("west", "a", 2), ("east", "a", 2)]).await?;
    let order = suite.place(new_order(&[("a", 2)])).await?;
    let [fo] = suite
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    let list = suite.pick_list(&fo).await?;
    let line = list.lines.first().context("line")?;
    suite.scan(&list, line, 1).await?;
    suite.short(&list, line, 1).await?;
    let [second] = suite
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    ensure!(second.location_id != fo.location_id, "{second:?}");
    suite.fulfill(&second).await?;
    let session = suite
        .pack(&fo.fulfillment_order_id, &[(barcode("a"), 1)])
        .await?;
    let shipment = suite.labeled(&session).await?;
    suite.ship(&shipment).await?;
    suite.track(&shipment, TrackingStatus::Delivered).await?;
    suite
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    let levels = suite.levels("a").await?;
    ensure!(
        levels.iter().map(|level| level.count_pending).sum::<i64>() == 1,
        "{levels:?}"
    );
    suite.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_pick_that_nobody_can_fill_is_backordered_until_stock_comes() -> anyhow::Result<()>
{
    let suite = suite_with(&[("west", "a", 1)]).await?;
    let mut new = new_order(&[("a", 1)]);
    new.fill_policy = FillPolicy::FillAll.into();
    let order = suite.place(new).await?;
    let [fo] = suite
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    let list = suite.pick_list(&fo).await?;
    suite
        .short(&list, list.lines.first().context("line")?, 1)
        .await?;
    suite
        .order_when(&order.order_id, "a backorder", |order| {
            order.lines.iter().any(|line| line.backordered == 1)
        })
        .await?;
    suite.receive("east", "a", 1).await?;
    let [second] = suite
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    suite.fulfill(&second).await?;
    suite
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    suite.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_backordered_and_the_rest_ships() -> anyhow::Result<()> {
    let suite = suite_with(&[("west", "a", 1), ("west", "b", 1)]).await?;
    let mut new = new_order(&[("a", 3), ("b", 1)]);
    new.fill_policy = FillPolicy::FillAll.into();
    let order = suite.place(new).await?;
    ensure!(order.state() == o::OrderState::Confirmed, "{order:?}");
    ensure!(
        order.lines.iter().map(|line| line.backordered).sum::<i64>() == 2,
        "{order:?}"
    );
    let [fo] = suite
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    suite.fulfill(&fo).await?;
    suite.verify().await?;
    suite.receive("west", "a", 5).await?;
    let [rest] = suite
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    suite.fulfill(&rest).await?;
    suite
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    suite.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_canceled_when_the_policy_says_so() -> anyhow::Result<()> {
    let suite = suite_with(&[("west", "a", 1)]).await?;
    let mut new = new_order(&[("a", 3)]);
    new.fill_policy = FillPolicy::FillAllAvailable.into();
    let order = suite.place(new).await?;
    let [fo] = suite
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    suite.fulfill(&fo).await?;
    let done = suite
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    let line = done.lines.first().context("line")?;
    ensure!((line.shipped, line.canceled) == (1, 2), "{line:?}");
    suite.finish().await
}

fn cancel(order: &o::Order, lines: Vec<o::CancelOrderLine>) -> o::CancelOrderRequest {
    o::CancelOrderRequest {
        request_id: fresh_id(),
        order_id: order.order_id.clone(),
        etag: String::new(),
        lines,
        reason: "CUSTOMER".to_owned(),
        note: String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_canceled_before_anybody_picked() -> anyhow::Result<()> {
    let suite = suite_with(&[("west", "a", 5)]).await?;
    let order = suite.place(new_order(&[("a", 2)])).await?;
    suite.released(&order.order_id, 1).await?;
    suite
        .clients
        .orders()
        .cancel_order(cancel(&order, vec![]))
        .await?;
    let canceled = suite
        .order_in(&order.order_id, o::OrderState::Canceled)
        .await?;
    let [cancellation] = canceled
        .cancellations
        .try_into()
        .ok()
        .context("one cancellation")?;
    ensure!(
        cancellation.state() == o::CancellationState::Completed,
        "{cancellation:?}"
    );
    suite
        .order_when(&order.order_id, "the void", |order| {
            let open = order
                .totals
                .as_ref()
                .and_then(|totals| totals.authorized.as_ref());
            open.is_none_or(|open| open.minor_units == 0)
        })
        .await?;
    suite.verify().await?;
    ensure!(
        suite
            .levels("a")
            .await?
            .iter()
            .all(|level| level.available == 5)
    );
    suite.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_line_is_canceled_and_the_rest_is_charged() -> anyhow::Result<()> {
    let suite = suite_with(&[("west", "a", 5)]).await?;
    let order = suite.place(new_order(&[("a", 3)])).await?;
    suite.released(&order.order_id, 1).await?;
    let order_line_id = order.lines.first().context("line")?.order_line_id.clone();
    let part = o::CancelOrderLine {
        order_line_id,
        quantity: 1,
    };
    suite
        .clients
        .orders()
        .cancel_order(cancel(&order, vec![part]))
        .await?;
    suite
        .order_when(&order.order_id, "the cancellation", |order| {
            order.lines.iter().all(|line| line.canceled == 1)
        })
        .await?;
    let [fo] = suite
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    let list = suite.pick_list(&fo).await?;
    suite
        .scan(&list, list.lines.first().context("line")?, 2)
        .await?;
    let session = suite
        .pack(&fo.fulfillment_order_id, &[(barcode("a"), 2)])
        .await?;
    let shipment = suite.labeled(&session).await?;
    suite.ship(&shipment).await?;
    suite.track(&shipment, TrackingStatus::Delivered).await?;
    let done = suite
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    let totals = done.totals.context("totals")?;
    let minor = |money: Option<oms_proto::common::v1::Money>| money.map_or(0, |m| m.minor_units);
    let (total, canceled, captured) = (
        minor(totals.total),
        minor(totals.canceled),
        minor(totals.captured),
    );
    ensure!(
        total - canceled == captured && canceled > 0,
        "{total} {canceled} {captured}"
    );
    suite.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_picker_has_started_on_is_not_canceled() -> anyhow::Result<()> {
    let suite = suite_with(&[("west", "a", 5)]).await?;
    let order = suite.place(new_order(&[("a", 2)])).await?;
    let [fo] = suite
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    suite.pick_all(&fo).await?;
    suite
        .clients
        .orders()
        .cancel_order(cancel(&order, vec![]))
        .await?;
    let order = suite
        .order_when(&order.order_id, "the refusal", |order| {
            order
                .cancellations
                .iter()
                .any(|one| one.state() == o::CancellationState::Refused)
        })
        .await?;
    ensure!(order.state() == o::OrderState::Confirmed, "{order:?}");
    let session = suite
        .pack(&fo.fulfillment_order_id, &[(barcode("a"), 2)])
        .await?;
    let shipment = suite.labeled(&session).await?;
    suite.ship(&shipment).await?;
    suite.track(&shipment, TrackingStatus::Delivered).await?;
    suite
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    suite.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_overtakes_its_reserve_leaks_nothing() -> anyhow::Result<()> {
    let suite = suite_with(&[("west", "a", 5)]).await?;
    let (reservation_id, order_id) = (id("late"), id("late order"));
    let mut reservations = suite.clients.reservations();
    let release = i::ReleaseReservationRequest {
        request_id: fresh_id(),
        reservation_id: reservation_id.clone(),
        lines: vec![],
        order_id: order_id.clone(),
    };
    reservations.release_reservation(release).await?;
    let reserve = i::ReserveRequest {
        request_id: fresh_id(),
        reservation_id,
        order_id,
        lines: vec![i::ReserveLine {
            order_line_id: id("late line"),
            sku: "a".to_owned(),
            quantity: 2,
            eligible_location_ids: vec![],
        }],
        ranked_location_ids: vec!["west".to_owned()],
        ..Default::default()
    };
    let answer = reservations.reserve(reserve).await?.into_inner();
    let state = answer.reservation.context("reservation")?.state();
    ensure!(state == i::ReservationState::Released, "{state:?}");
    ensure!(
        suite
            .levels("a")
            .await?
            .iter()
            .all(|level| level.available == 5)
    );
    suite.suite.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_buyers_get_exactly_the_fifty_units_there_are() -> anyhow::Result<()> {
    let suite = suite_with(&[("west", "hot", 50)]).await?;
    let buyers = (0..200).map(|_| suite.place(new_order(&[("hot", 1)])));
    let mut placed = Vec::new();
    for order in futures::future::join_all(buyers).await {
        placed.push(order?.order_id);
    }
    let (mut sold, mut refused) = (0, 0);
    for order_id in placed {
        let order = suite
            .order_when(&order_id, "an answer", |order| {
                order.state() != o::OrderState::Pending
            })
            .await?;
        match (order.state(), order.state_reason.as_str()) {
            (o::OrderState::Confirmed, _) => sold += 1,
            (o::OrderState::Rejected, "OUT_OF_STOCK") => refused += 1,
            other => anyhow::bail!("{other:?}"),
        }
    }
    ensure!(
        (sold, refused) == (50, 150),
        "sold {sold}, refused {refused}"
    );
    suite.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn goods_that_were_not_packed_cannot_be_shipped() -> anyhow::Result<()> {
    let suite = suite_with(&[("west", "a", 5)]).await?;
    let order = suite.place(new_order(&[("a", 1)])).await?;
    let [fo] = suite
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    let request = f::OpenPackSessionRequest {
        request_id: fresh_id(),
        fulfillment_order_id: fo.fulfillment_order_id,
    };
    let refused = suite.clients.packing().open_pack_session(request).await;
    let error = PeerError::from(refused.err().context("must be refused")?);
    ensure!(
        matches!(
            error.reason(),
            Some(ErrorReason::IllegalTransition | ErrorReason::QuantityExceedsOpen)
        ),
        "{error}"
    );
    suite.suite.stop().await
}
