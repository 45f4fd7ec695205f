//! Five migrated databases and the payment provider's with a few sound rows.

use std::sync::Arc;

use oms::verify::{Database, Databases};
use oms_postgres::audit::{Auditor, AuditorConfig};
use oms_postgres::{Db, DbConfig};
use oms_testkit::TestDb;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

static ORDER: Migrator = sqlx::migrate!("../../services/order/migrations");
static INVENTORY: Migrator = sqlx::migrate!("../../services/inventory/migrations");
static FULFILLMENT: Migrator = sqlx::migrate!("../../services/fulfillment/migrations");
static SHIPPING: Migrator = sqlx::migrate!("../../services/shipping/migrations");
static RETURNS: Migrator = sqlx::migrate!("../../services/returns/migrations");

static PROVIDER: Migrator = sqlx::migrate!("../sandbox-psp/migrations");

/// What follows it is planted in the payment provider's database.
const AT_PROVIDER: &str = "AT PROVIDER:";

pub(crate) struct World {
    /// In the order of [`Database::ALL`].
    services: Vec<TestDb>,
    provider: TestDb,
}

impl World {
    pub(crate) async fn new() -> Self {
        let mut all = Vec::new();
        for database in Database::ALL {
            all.push(fresh(database).await);
        }
        Self {
            services: all,
            provider: fresh_provider().await,
        }
    }

    pub(crate) fn databases(&self) -> Databases {
        let urls: Vec<&str> = self.services.iter().map(TestDb::url).collect();
        Databases::at(urls.try_into().unwrap(), self.provider.url()).unwrap()
    }

    /// The same without the payment provider's.
    pub(crate) fn databases_without_provider(&self) -> Databases {
        let urls: Vec<&str> = self.services.iter().map(TestDb::url).collect();
        let (server, _) = self.provider.url().rsplit_once('/').unwrap();
        Databases::at(urls.try_into().unwrap(), &format!("{server}/nobodys")).unwrap()
    }

    /// Runs statements whose `{names}` stand for ids; those after `AT PROVIDER:` at the payment provider.
    pub(crate) async fn plant(&self, database: Database, sql: &str) {
        let (ours, theirs) = sql.split_once(AT_PROVIDER).unwrap_or((sql, ""));
        plant(&self.services[place(database)], ours).await;
        plant(&self.provider, theirs).await;
    }

    /// Makes a database sound again, and the payment provider's with the orders'.
    pub(crate) async fn restore(&mut self, database: Database) {
        self.services[place(database)] = fresh(database).await;
        if database == Database::Order {
            self.provider = fresh_provider().await;
        }
    }
}

async fn plant(db: &TestDb, sql: &str) {
    let mut conn = db.connect().await;
    let sql = with_ids(sql);
    let planted = sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(&mut conn)
        .await;
    planted.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

fn place(database: Database) -> usize {
    Database::ALL
        .iter()
        .position(|one| *one == database)
        .unwrap()
}

fn parts(database: Database) -> (&'static Migrator, &'static str) {
    match database {
        Database::Order => (&ORDER, include_str!("seed/order.sql")),
        Database::Inventory => (&INVENTORY, include_str!("seed/inventory.sql")),
        Database::Fulfillment => (&FULFILLMENT, include_str!("seed/fulfillment.sql")),
        Database::Shipping => (&SHIPPING, include_str!("seed/shipping.sql")),
        Database::Returns => (&RETURNS, include_str!("seed/returns.sql")),
    }
}

async fn fresh(database: Database) -> TestDb {
    let (migrator, seed) = parts(database);
    seeded(&format!("verify{}", database.service()), migrator, seed).await
}

async fn fresh_provider() -> TestDb {
    seeded(
        "verifyprovider",
        &PROVIDER,
        include_str!("seed/provider.sql"),
    )
    .await
}

async fn seeded(name: &str, migrator: &'static Migrator, seed: &'static str) -> TestDb {
    let key = oms_testkit::template_key(name, &[&oms_postgres::MIGRATOR, migrator]);
    // The rows are part of the template.
    let key = format!(
        "{key} {}",
        Uuid::new_v5(&Uuid::NAMESPACE_OID, seed.as_bytes())
    );
    TestDb::create(&key, |url| async move {
        oms_postgres::migrate_url(&url, migrator).await?;
        let mut conn = PgConnection::connect(&url).await?;
        sqlx::raw_sql(AssertSqlSafe(with_ids(seed)))
            .execute(&mut conn)
            .await?;
        conn.close().await?;
        chain(&url).await?;
        Ok::<(), Box<dyn std::error::Error>>(())
    })
    .await
}

/// Chains what the seed says was done, as the auditor of a service would.
async fn chain(url: &str) -> Result<(), oms_postgres::Error> {
    let config = DbConfig::new(url, "verify");
    let db = Db::connect(&config, Arc::new(oms_core::SystemClock)).await?;
    Auditor::new(db.clone(), AuditorConfig::default())
        .drain()
        .await?;
    db.close().await;
    Ok(())
}

/// Replaces `{order_a}` by an id that is the same wherever the name stands.
fn with_ids(sql: &str) -> String {
    let mut text = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once('{') {
        text += before;
        let (name, after) = after.split_once('}').expect("a name ends");
        text += &Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string();
        rest = after;
    }
    text + rest
}
