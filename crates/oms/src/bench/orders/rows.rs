//! The floor: the rows that orders left in the databases, written again by pgbench, order by order.
//!
//! Nothing is made up: after the orders of `cash` have gone to cash, the rows of every table are numbered and copied aside.
//! Then each client takes the next order's share of every table and inserts it, and updates the rows as often as they had been
//! updated, in ten transactions: four on the order service's tables, and two each on inventory's, fulfillment's and shipping's. `place`
//! is what PlaceOrder itself writes, in one transaction.
//!
//! The floor is favoured: nothing is read or decided, no foreign key is checked, an update touches no index, events go to the feed
//! without the outbox, and rows that all orders share (heads, cursors, counters) are left alone.

use std::sync::Arc;
use std::time::Duration;

use oms_engines::Engines;

use super::store::{self, Count, Sample};
use crate::bench::figures::Figures;
use crate::bench::pgbench::{Length, Pgbench, Script};
use crate::bench::store as databases;

/// Databases with the transactions that an order's rows are spread over.
const DATABASES: [(&str, usize); 4] = [
    ("order", 4),
    ("inventory", 2),
    ("fulfillment", 2),
    ("shipping", 2),
];
/// What PlaceOrder writes before it answers: so many rows of each table for an order of one line.
const PLACED: [(&str, i64); 8] = [
    ("orders", 1),
    ("order_lines", 1),
    ("addresses", 1),
    ("data_keys", 1),
    ("sagas", 1),
    ("timeline", 1),
    ("feed_1", 1),
    ("idempotency", 1),
];
/// Most connections of the floor: as many as a service has. More of them would each see a few orders only, and plan statements
/// most of the time.
const CLIENTS_MAX: u32 = 8;
/// Postgres counts what a transaction wrote at the latest after this time.
const COUNTED: Duration = Duration::from_secs(2);

/// What orders left.
pub(super) struct Floors {
    engines: Arc<Engines>,
    orders: u32,
    databases: Vec<Floor>,
}

struct Floor {
    name: &'static str,
    transactions: usize,
    samples: Vec<Sample>,
}

impl Floors {
    /// What was written so far.
    pub(super) async fn count(engines: &Engines) -> anyhow::Result<Vec<Vec<Count>>> {
        tokio::time::sleep(COUNTED).await;
        let mut all = Vec::new();
        for (name, _) in DATABASES {
            let url = engines.database_url(&own(name));
            all.push(store::counts(&mut databases::connect(&url).await?).await?);
        }
        Ok(all)
    }

    /// Copies aside what so many orders have written since.
    pub(super) async fn sample(
        engines: &Arc<Engines>,
        before: &[Vec<Count>],
        orders: u32,
    ) -> anyhow::Result<Self> {
        tokio::time::sleep(COUNTED).await;
        let mut all = Vec::new();
        for ((name, transactions), before) in DATABASES.into_iter().zip(before) {
            let mut conn = databases::connect(&engines.database_url(&own(name))).await?;
            all.push(Floor {
                name,
                transactions,
                samples: store::sample(&mut conn, before, i64::from(orders)).await?,
            });
        }
        Ok(Self {
            engines: Arc::clone(engines),
            orders,
            databases: all,
        })
    }

    /// Copies the databases, which nobody is connected to any more.
    pub(super) async fn prepare(self) -> anyhow::Result<Self> {
        let mut server = databases::connect(&self.engines.postgres_url()).await?;
        for floor in &self.databases {
            databases::copy_database(&mut server, &own(floor.name), &copy(floor.name)).await?;
        }
        Ok(self)
    }

    /// Places every order with so many clients.
    pub(super) async fn place(&self, clients: u32) -> anyhow::Result<Figures> {
        let Some(floor) = self.databases.iter().find(|floor| floor.name == "order") else {
            anyhow::bail!("no order database");
        };
        let samples: Vec<Sample> = PLACED
            .iter()
            .filter_map(|(table, rows)| {
                let sample = floor.samples.iter().find(|one| one.table() == *table)?;
                Some(sample.first(*rows))
            })
            .collect();
        // A table that only some orders write, such as the keys of new customers, is left out; never these two.
        for table in ["orders", "order_lines"] {
            let is_there = samples.iter().any(|sample| sample.table() == table);
            anyhow::ensure!(is_there, "no rows of {table} were counted");
        }
        self.write(floor, &samples, 1, clients).await
    }

    /// Takes every order through all of its transactions with so many clients. Databases follow each other: the time of an order is
    /// the sum of its times.
    pub(super) async fn cash(&self, clients: u32) -> anyhow::Result<Figures> {
        let mut seconds = 0.0;
        let mut sum = Figures::default();
        for floor in &self.databases {
            let figures = self
                .write(floor, &floor.samples, floor.transactions, clients)
                .await?;
            seconds += 1.0 / figures.per_second.max(f64::EPSILON);
            sum.p50_ms += figures.p50_ms;
            sum.p99_ms += figures.p99_ms;
        }
        Ok(Figures {
            per_second: 1.0 / seconds,
            ..sum
        })
    }

    async fn write(
        &self,
        floor: &Floor,
        samples: &[Sample],
        transactions: usize,
        clients: u32,
    ) -> anyhow::Result<Figures> {
        let url = self.engines.database_url(&copy(floor.name));
        let mut conn = databases::connect(&url).await?;
        store::empty(&mut conn, &floor.samples).await?;
        databases::tidy_up(&mut conn).await?;
        let pgbench = Pgbench::of(&self.engines, unchecked(&url))?;
        let script = Script {
            name: "orders.sql",
            text: &text(samples, transactions),
            variables: &[],
        };
        let clients = clients.min(self.orders).min(CLIENTS_MAX);
        let length = Length::Transactions((self.orders / clients).max(1));
        pgbench.run(script, clients, length).await
    }

    /// Drops the copies.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let mut server = databases::connect(&self.engines.postgres_url()).await?;
        for floor in &self.databases {
            databases::drop_database(&mut server, &copy(floor.name)).await?;
        }
        Ok(())
    }
}

/// The statements, spread over transactions in the order of the tables.
fn text(samples: &[Sample], transactions: usize) -> String {
    let statements: Vec<String> = samples.iter().flat_map(Sample::statements).collect();
    let each = statements.len().div_ceil(transactions).max(1);
    let mut text = store::next_number();
    for part in statements.chunks(each) {
        text += &format!("\nBEGIN;\n{}\nCOMMIT;", part.join("\n"));
    }
    text + "\n"
}

/// Without foreign keys, as parents may come after their children, by indexes only, though the tables are empty when the
/// statements are planned, and planned once for each connection.
fn unchecked(url: &str) -> String {
    let and = if url.contains('?') { '&' } else { '?' };
    let settings = [
        "session_replication_role=replica",
        "enable_seqscan=off",
        "plan_cache_mode=force_generic_plan",
    ];
    let options = settings.map(|setting| format!("-c{}", setting.replace('=', "%3D")));
    format!("{url}{and}options={}", options.join("%20"))
}

fn own(name: &str) -> String {
    format!("oms_{name}")
}

fn copy(name: &str) -> String {
    format!("oms_bench_{name}")
}
