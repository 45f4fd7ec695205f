//! One database goes back to a backup while the others are current: docs/runbooks/restore-one-database.md, step by step.

use std::str::FromStr;

use anyhow::{Context, ensure};
use oms::repair::{self, MADE_AGAIN};
use oms_proto::order::v1::{Order, OrderState};
use oms_service::{AnyProgram, Credentials, Layers};
use oms_tests::nodes::Nodes;
use oms_tests::shop::new_order;
use oms_tests::suite::Actor;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

async fn sql(postgres_url: &str, statements: &[&'static str]) -> anyhow::Result<()> {
    let options = PgConnectOptions::from_str(postgres_url)?.database("postgres");
    let mut conn = PgConnection::connect_with(&options).await?;
    for statement in statements {
        sqlx::query(*statement).execute(&mut conn).await?;
    }
    Ok(conn.close().await?)
}

async fn released(actor: &Actor) -> anyhow::Result<Order> {
    let order = actor.place(new_order(&[("a", 2)])).await?;
    ensure!(order.state() == OrderState::Confirmed, "{order:?}");
    actor.released(&order.order_id, 1).await?;
    Ok(order)
}

async fn start(nodes: &mut Nodes, service: &str) -> anyhow::Result<()> {
    nodes.spawn(service)?;
    nodes.until_ready(service).await
}

#[tokio::test(flavor = "multi_thread")]
async fn inventory_that_went_back_in_time_learns_again_what_orders_hold() -> anyhow::Result<()> {
    let mut nodes = Nodes::start(env!("CARGO_BIN_EXE_oms-node"), None).await?;
    let actor = nodes.actor()?;
    actor.set_up(&["a"]).await?;
    actor.receive("west", "a", 100).await?;
    released(&actor).await?;
    actor.verify().await?;

    nodes.kill("inventory")?;
    let back_up = "CREATE DATABASE inventory_backup TEMPLATE oms_inventory";
    sql(&actor.postgres_url, &[back_up]).await?;
    start(&mut nodes, "inventory").await?;
    let lost = [released(&actor).await?, released(&actor).await?];
    actor.verify().await?;

    nodes.kill("inventory")?;
    nodes.kill("order")?;
    let restore = [
        "DROP DATABASE oms_inventory WITH (FORCE)",
        "ALTER DATABASE inventory_backup RENAME TO oms_inventory",
    ];
    sql(&actor.postgres_url, &restore).await?;
    let layers = |service: &str| {
        let url = nodes.engines.database_url(&format!("oms_{service}"));
        Layers::of_text(format!("[database]\nurl = {url:?}\n"))
    };
    oms_inventory::Inventory
        .new_epoch(&layers("inventory"))
        .await?;
    ensure!(
        oms_order::Order
            .resync(&layers("order"), "inventory")
            .await?
    );
    start(&mut nodes, "inventory").await?;
    start(&mut nodes, "order").await?;

    let (inventory, nothing) = (nodes.url("inventory"), Credentials::default());
    let listed = repair::reservations(&actor.postgres_url, &inventory, &nothing, false).await?;
    let mut orders: Vec<String> = listed
        .forgotten
        .iter()
        .map(|one| one.order_id.to_string())
        .collect();
    orders.sort();
    let mut expected = lost.map(|order| order.order_id);
    expected.sort();
    ensure!(orders == expected, "{listed:?}");
    let repaired = repair::reservations(&actor.postgres_url, &inventory, &nothing, true).await?;
    let outcomes = repaired.forgotten.iter().map(|one| one.outcome.as_str());
    ensure!(outcomes.eq([MADE_AGAIN; 2]), "{repaired:?}");
    let again = repair::reservations(&actor.postgres_url, &inventory, &nothing, true).await?;
    ensure!(again.forgotten.is_empty() && again.held == 3, "{again:?}");
    actor.verify().await.context("after the repair")
}
