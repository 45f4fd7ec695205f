//! R3: every event is delivered again, at three moments of the orders' way: all services forget how far they have read their peers'
//! feeds (`oms-<service> resync <peer>`) and read them from the beginning. Every table of every service stays as it was.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use oms::suite::SERVICES;
use oms_proto::fulfillment::v1 as f;
use oms_proto::order::v1::OrderState;
use oms_service::{AnyProgram, Layers};
use oms_tests::crash::{say, seed};
use oms_tests::dice::Dice;
use oms_tests::nodes::Nodes;
use oms_tests::provider::connect;
use oms_tests::summary::{Row, note};
use sqlx::AssertSqlSafe;

use crate::life::{Kind, Shop};
use crate::start;

/// Orders that go there and back, a step of all at a time.
const THERE_AND_BACK: usize = 3;

/// Who reads whose feed.
const CONSUMERS: [(&dyn AnyProgram, &str, &[&str]); 5] = [
    (
        &oms_order::Order,
        "order",
        &["inventory", "fulfillment", "shipping", "returns"],
    ),
    (
        &oms_inventory::Inventory,
        "inventory",
        &["shipping", "returns"],
    ),
    (&oms_fulfillment::Fulfillment, "fulfillment", &["shipping"]),
    (&oms_shipping::Shipping, "shipping", &["fulfillment"]),
    (&oms_returns::Returns, "returns", &["order", "shipping"]),
];

/// Tables of the machinery of events and repeats; all others are what the services know.
const MACHINERY: &str = "
    SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'
        AND tablename !~ '^(outbox|feed_cursors|parked_events|idempotency|tasks|_sqlx_migrations.*|feed_[0-9]+|audit_[a-z0-9_]+)$'
    ORDER BY 1";

/// Every row of every table, by service and table.
type State = BTreeMap<String, Vec<String>>;

async fn state(postgres_url: &str) -> anyhow::Result<State> {
    let mut state = State::new();
    for (service, _) in SERVICES {
        let mut conn = connect(postgres_url, &format!("oms_{service}")).await?;
        let tables: Vec<String> = sqlx::query_scalar(MACHINERY).fetch_all(&mut conn).await?;
        ensure!(tables.len() > 3, "{service} has only {tables:?}");
        for table in tables {
            let rows = format!("SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1");
            let rows = sqlx::query_scalar(AssertSqlSafe(rows))
                .fetch_all(&mut conn)
                .await?;
            state.insert(format!("{service}.{table}"), rows);
        }
        // Tasks that were done are not done again; when one runs next is no matter.
        let tasks = "SELECT concat_ws(' ', kind, id, state, attempt) FROM tasks ORDER BY 1";
        let tasks = sqlx::query_scalar(tasks).fetch_all(&mut conn).await?;
        state.insert(format!("{service}.tasks"), tasks);
    }
    Ok(state)
}

/// What stands in one and not in the other.
fn difference(before: &State, after: &State) -> Vec<String> {
    let mut all = Vec::new();
    for (table, rows) in before {
        let now = after.get(table).map_or(&[][..], Vec::as_slice);
        let gone = rows.iter().filter(|row| !now.contains(row));
        all.extend(gone.map(|row| format!("{table} - {row}")));
        let new = now.iter().filter(|row| !rows.contains(row));
        all.extend(new.map(|row| format!("{table} + {row}")));
    }
    all
}

/// Delivers every event again; answers how many they are.
async fn deliver_again(nodes: &mut Nodes, shop: &Shop) -> anyhow::Result<i64> {
    let actor = &shop.actor;
    actor.verify().await?;
    let before = state(&actor.postgres_url).await?;
    for (service, _) in SERVICES {
        nodes.kill(service)?;
    }
    let mut events = 0;
    for (program, service, peers) in CONSUMERS {
        let mut conn = connect(&actor.postgres_url, &format!("oms_{service}")).await?;
        let places =
            "SELECT coalesce(sum(pos), 0)::int8 FROM feed_cursors WHERE consumer <> 'webhooks'";
        events += sqlx::query_scalar::<_, i64>(places)
            .fetch_one(&mut conn)
            .await?;
        let url = nodes.engines.database_url(&format!("oms_{service}"));
        let layers = Layers::of_text(format!("[database]\nurl = {url:?}\n"));
        for peer in peers {
            program.resync(&layers, peer).await?;
        }
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM feed_cursors WHERE consumer <> 'webhooks'")
                .fetch_one(&mut conn)
                .await?;
        ensure!(
            left == 0,
            "{service} follows a feed that this test does not know"
        );
    }
    for (service, _) in SERVICES {
        nodes.spawn(service)?;
    }
    for (service, _) in SERVICES {
        nodes.until_ready(service).await?;
    }
    // At rest, every consumer has read to the end again.
    actor
        .verify()
        .await
        .context("after everything was delivered again")?;
    let different = difference(&before, &state(&actor.postgres_url).await?);
    ensure!(
        different.is_empty(),
        "{} rows are not as they were:\n{}",
        different.len(),
        different.join("\n")
    );
    Ok(events)
}

async fn run(seed: u64) -> anyhow::Result<Row> {
    let mut nodes = start().await?;
    let shop = Shop::open(nodes.actor()?, seed).await?;
    let mut told = Vec::new();
    for (number, kind) in Kind::SHARES.iter().map(|(kind, _)| *kind).enumerate() {
        told.push(shop.serve(kind, number, &mut Dice::new(seed)).await?);
    }
    // In the middle of their way, so that events meet orders that still move.
    let mut work: Vec<f::FulfillmentOrder> = Vec::new();
    for number in 100..100 + THERE_AND_BACK {
        let one = shop
            .place(Kind::Returned, number, &mut Dice::new(seed))
            .await?;
        work.extend(shop.actor.released(&one.order_id, 1).await?);
        told.push(one);
    }
    let mut events = deliver_again(&mut nodes, &shop).await?;
    try_join_all(work.iter().map(|fo| shop.actor.fulfill(fo))).await?;
    for fo in &work {
        shop.actor
            .order_in(&fo.order_id, OrderState::Completed)
            .await?;
    }
    events += deliver_again(&mut nodes, &shop).await?;
    for fo in &work {
        let return_id = shop.bring_back(&fo.order_id).await?;
        shop.actor.closed(&return_id).await?;
    }
    events += deliver_again(&mut nodes, &shop).await?;
    shop.compare(&told).await?;
    say(format!(
        "  {} orders, {events} deliveries again",
        told.len()
    ));
    Row::proven(&shop.actor, 3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_come_twice_change_nothing() -> anyhow::Result<()> {
    let seed = seed()?;
    Box::pin(note("R3 events twice", Some(seed), run(seed))).await
}
