//! What came of the demo: one table for people, the same as JSON for machines.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use oms_proto::common::v1::Money;
use oms_proto::order::v1::{ListOrdersRequest, Order, OrderTotals};
use serde::Serialize;

use super::World;
use super::shop::Placed;
use crate::verify::Verdict;

/// The result of a demo.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    orders: usize,
    orders_by_state: BTreeMap<String, usize>,
    units: Units,
    money: Cents,
    splits: usize,
    backorders: usize,
    returns: u64,
    placed_per_second: f64,
    to_cash_per_second: f64,
    place_order_p50_ms: f64,
    place_order_p99_ms: f64,
    time_to_cash_p50_ms: f64,
    time_to_cash_p99_ms: f64,
    seconds: f64,
    verifier: Verdict,
}

/// Units over all orders.
#[derive(Debug, Default, Serialize)]
struct Units {
    ordered: i64,
    shipped: i64,
    delivered: i64,
    canceled: i64,
    backordered: i64,
    returned: i64,
}

/// Money over all orders in minor units.
#[derive(Debug, Default, Serialize)]
struct Cents {
    currency: String,
    ordered: i64,
    authorized: i64,
    captured: i64,
    refunded: i64,
}

/// Asks the order service what came of everything.
pub(crate) async fn collect(
    world: &World,
    placed: &Placed,
    elapsed: Duration,
    verifier: Verdict,
) -> anyhow::Result<Report> {
    let orders = all_orders(world).await?;
    let mut orders_by_state: BTreeMap<String, usize> = BTreeMap::new();
    let (mut units, mut money) = (Units::default(), Cents::default());
    for order in &orders {
        let state = order
            .state()
            .as_str_name()
            .trim_start_matches("ORDER_STATE_");
        *orders_by_state.entry(state.to_owned()).or_default() += 1;
        add_units(&mut units, order);
        add_money(&mut money, order.totals.as_ref());
    }
    let mut to_cash = world.board.times_to_cash();
    to_cash.sort_unstable();
    let snapshot = world.board.snapshot();
    Ok(Report {
        orders: orders.len(),
        orders_by_state,
        units,
        money,
        splits: orders
            .iter()
            .filter(|order| order.fulfillment_order_ids.len() > 1)
            .count(),
        backorders: world.board.backorders(),
        returns: snapshot.returns_closed,
        placed_per_second: rate(orders.len(), placed.elapsed),
        to_cash_per_second: rate(to_cash.len(), elapsed),
        place_order_p50_ms: micros_to_ms(placed.latency_us.value_at_quantile(0.5)),
        place_order_p99_ms: micros_to_ms(placed.latency_us.value_at_quantile(0.99)),
        time_to_cash_p50_ms: quantile_ms(&to_cash, 50),
        time_to_cash_p99_ms: quantile_ms(&to_cash, 99),
        seconds: elapsed.as_secs_f64(),
        verifier,
    })
}

async fn all_orders(world: &World) -> anyhow::Result<Vec<Order>> {
    let mut orders = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListOrdersRequest {
            page_size: 500,
            page_token,
            ..Default::default()
        };
        let page = world
            .clients
            .orders()
            .list_orders(request)
            .await
            .context("list")?
            .into_inner();
        orders.extend(page.orders);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(orders);
        }
    }
}

fn add_units(units: &mut Units, order: &Order) {
    for line in &order.lines {
        units.ordered += line.ordered;
        units.shipped += line.shipped;
        units.delivered += line.delivered;
        units.canceled += line.canceled;
        units.backordered += line.backordered;
        units.returned += line.returned;
    }
}

fn add_money(money: &mut Cents, totals: Option<&OrderTotals>) {
    let Some(totals) = totals else { return };
    let minor = |money: &Option<Money>| money.as_ref().map_or(0, |money| money.minor_units);
    money.ordered += minor(&totals.total);
    money.authorized += minor(&totals.authorized);
    money.captured += minor(&totals.captured);
    money.refunded += minor(&totals.refunded);
    if let Some(total) = &totals.total {
        money.currency.clone_from(&total.currency_code);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(f64::EPSILON)
}

#[expect(clippy::cast_precision_loss, reason = "a latency for people")]
fn micros_to_ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

fn quantile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted
        .get(place)
        .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

impl Report {
    /// True when the verifier found nothing.
    pub(crate) fn is_clean(&self) -> bool {
        self.verifier.violations() == 0
    }

    /// Prints the report.
    #[expect(clippy::print_stdout, reason = "the report is the command's result")]
    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!("{}", self.table());
        println!("{}", self.verifier.table());
        println!("{}", self.verifier.sentence());
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["order to cash", ""]);
        let mut row = |name: String, value: String| {
            table.add_row([name, value]);
        };
        row("orders".into(), self.orders.to_string());
        for (state, count) in &self.orders_by_state {
            row(format!("  {}", state.to_lowercase()), count.to_string());
        }
        let units = &self.units;
        for (name, count) in [
            ("units ordered", units.ordered),
            ("  shipped", units.shipped),
            ("  delivered", units.delivered),
            ("  canceled", units.canceled),
            ("  waiting for stock", units.backordered),
            ("  returned", units.returned),
        ] {
            row(name.into(), count.to_string());
        }
        for (name, minor) in [
            ("money ordered", self.money.ordered),
            ("  authorized and open", self.money.authorized),
            ("  captured", self.money.captured),
            ("  refunded", self.money.refunded),
        ] {
            row(
                name.into(),
                format!("{} {}.{:02}", self.money.currency, minor / 100, minor % 100),
            );
        }
        row(
            "orders split over locations".into(),
            self.splits.to_string(),
        );
        row("orders with backorders".into(), self.backorders.to_string());
        row("returns closed".into(), self.returns.to_string());
        row(
            "orders placed per second".into(),
            format!("{:.0}", self.placed_per_second),
        );
        row(
            "orders to cash per second".into(),
            format!("{:.0}", self.to_cash_per_second),
        );
        let pair = |p50: f64, p99: f64| format!("{p50:.0} ms / {p99:.0} ms");
        row(
            "PlaceOrder until confirmed, p50 / p99".into(),
            pair(self.place_order_p50_ms, self.place_order_p99_ms),
        );
        row(
            "time to cash, p50 / p99".into(),
            pair(self.time_to_cash_p50_ms, self.time_to_cash_p99_ms),
        );
        row("seconds in all".into(), format!("{:.1}", self.seconds));
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}
