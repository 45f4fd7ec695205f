//! Services that publish and consume events are killed again and again while events flow, with two relays on their feeds.
//! No event is lost, doubled or overtaken, and every consumer has applied all of them.

use anyhow::{Context, ensure};
use oms::suite::SERVICES;
use oms_proto::order::v1 as o;
use oms_proto::shipping::v1::TrackingStatus;
use oms_tests::crash::rounds;
use oms_tests::nodes::Nodes;
use oms_tests::shop::{barcode, new_order};
use oms_tests::suite::{Actor, wait_for};
use oms_tests::summary::{Row, note};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

/// Orders that are placed at once whenever somebody is to die.
const ORDERS: usize = 6;
/// How often each of the victims dies, so many times as often in the long form as `OMS_CRASH_ROUNDS` says.
const ROUNDS: usize = 2;
/// Orders that are taken to cash.
const SHIPPED: usize = 3;
/// Sagas of a process that died are taken over soon.
const ORDER_CONFIG: &str = "[saga]\nlease_ms = 2000\n";

/// Places an order, with one request id until it is answered.
async fn place(actor: Actor) -> anyhow::Result<String> {
    let order = actor.place_until_answered(new_order(&[("a", 1)])).await?;
    Ok(order.order_id)
}

/// The databases of the services.
struct Databases(Vec<(&'static str, PgConnection)>);

impl Databases {
    async fn connect(nodes: &Nodes) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for (service, _) in SERVICES {
            let url = nodes.engines.database_url(&format!("oms_{service}"));
            all.push((service, PgConnection::connect(&url).await?));
        }
        Ok(Self(all))
    }

    async fn number(&mut self, service: &str, sql: &'static str) -> anyhow::Result<i64> {
        let found = self.0.iter_mut().find(|(name, _)| *name == service);
        let (_, conn) = found.context("no such service")?;
        Ok(sqlx::query_scalar(sql).fetch_one(conn).await?)
    }

    /// What is wrong with the feed of a service, told by its own tables alone.
    async fn prove_feed(&mut self, service: &str) -> anyhow::Result<i64> {
        let dense = "select count(*) from feed_head h
             where (h.pos, h.pos) = (select count(*), coalesce(max(pos), 0) from feed)";
        ensure!(
            self.number(service, dense).await? == 1,
            "{service}: a gap in the feed"
        );
        let doubled = "select count(*) - count(distinct event_id) from feed";
        ensure!(
            self.number(service, doubled).await? == 0,
            "{service}: an event came twice"
        );
        let disordered = "select count(*) from (
                 select aggregate_version - row_number() over (partition by aggregate_type, aggregate_id order by pos) as off
                 from feed) f
             where off <> 0";
        let count = self.number(service, disordered).await?;
        ensure!(count == 0, "{service}: {count} events lost or overtaken");
        self.number(service, "select count(*) from feed").await
    }

    /// Consumers that have not applied everything: `order of shipping: 3 of 5`.
    async fn behind(&mut self) -> anyhow::Result<Vec<String>> {
        let mut heads = Vec::new();
        for (service, conn) in &mut self.0 {
            let head: i64 = sqlx::query_scalar("select pos from feed_head")
                .fetch_one(conn)
                .await?;
            heads.push((*service, head));
        }
        let mut behind = Vec::new();
        for (service, conn) in &mut self.0 {
            let cursors: Vec<(String, i64)> =
                sqlx::query_as("select source, pos from feed_cursors")
                    .fetch_all(&mut *conn)
                    .await?;
            for (source, pos) in cursors {
                let head = heads.iter().find(|(name, _)| *name == source);
                let (_, head) = head.context("a feed that nobody has")?;
                if pos != *head {
                    behind.push(format!("{service} of {source}: {pos} of {head}"));
                }
            }
        }
        Ok(behind)
    }
}

/// Waits until so many events more than now are in the feed of order, so that the next moment is a busy one.
async fn flow(nodes: &Nodes, events: i64) -> anyhow::Result<()> {
    let head = async || {
        let mut conn = PgConnection::connect(&nodes.engines.database_url("oms_order")).await?;
        let pos: i64 = sqlx::query_scalar("select pos from feed_head")
            .fetch_one(&mut conn)
            .await?;
        anyhow::Ok(pos)
    };
    let until = head().await? + events;
    wait_for("events to flow", || async {
        let pos = head().await?;
        Ok(if pos >= until {
            Ok(())
        } else {
            Err(format!("{pos} of {until}"))
        })
    })
    .await
}

/// Takes an order to cash; a consumer of what order and shipping tell dies just when the parcel has left.
async fn ship(nodes: &mut Nodes, order_id: &str) -> anyhow::Result<()> {
    let actor = nodes.actor()?;
    let [fo] = actor
        .released(order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one fulfillment order")?;
    actor.pick_all(&fo).await?;
    let session = actor
        .pack(&fo.fulfillment_order_id, &[(barcode("a"), 1)])
        .await?;
    let shipment = actor.labeled(&session).await?;
    actor.ship(&shipment).await?;
    nodes.crash("returns").await?;
    actor.track(&shipment, TrackingStatus::Delivered).await?;
    actor
        .order_in(order_id, o::OrderState::Completed)
        .await
        .map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_lost_doubled_or_overtaken_when_services_die() -> anyhow::Result<()> {
    Box::pin(note("R13 feeds", None, run())).await
}

async fn run() -> anyhow::Result<Row> {
    let rounds = ROUNDS * rounds()?.unwrap_or(1);
    let mut nodes = Nodes::with(
        env!("CARGO_BIN_EXE_oms-node"),
        None,
        &[("order", ORDER_CONFIG)],
    )
    .await?;
    let order_twin = nodes.twin("order").await?;
    let fulfillment_twin = nodes.twin("fulfillment").await?;
    let actor = nodes.actor()?;
    actor.set_up(&["a"]).await?;
    actor.receive("west", "a", 100_000).await?;

    let mut placed = JoinSet::new();
    let victims = ["order", &order_twin, "fulfillment", &fulfillment_twin];
    for _ in 0..rounds {
        for victim in victims {
            for _ in 0..ORDERS {
                placed.spawn(place(actor.clone()));
            }
            flow(&nodes, 5).await?;
            nodes.crash(victim).await?;
        }
    }
    let orders: Vec<String> = placed
        .join_all()
        .await
        .into_iter()
        .collect::<anyhow::Result<_>>()?;
    for order_id in &orders {
        actor.released(order_id, 1).await?;
    }
    for order_id in orders.iter().take(SHIPPED) {
        ship(&mut nodes, order_id).await?;
    }

    actor.verify().await?;
    let mut databases = Databases::connect(&nodes).await?;
    ensure!(databases.behind().await?.is_empty(), "at rest");
    let mut events = 0;
    for (service, _) in SERVICES {
        let waiting = "select (select count(*) from outbox) + (select count(*) from parked_events)";
        let waiting = databases.number(service, waiting).await?;
        ensure!(
            waiting == 0,
            "{service}: {waiting} events wait or are parked"
        );
        events += databases.prove_feed(service).await?;
    }
    let told = i64::try_from(orders.len())?;
    ensure!(events > 5 * told, "{events} events of {told} orders");
    // And one for each parcel that left.
    Row::proven(&actor, rounds * victims.len() + SHIPPED).await
}
