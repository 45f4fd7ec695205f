//! The smallest database that shows the other half of the lease: a row per name that refuses whose
//! lease is not the latest. The same rule as in the inventory service.

use std::time::Duration;

use oms_lock::{GenerationError, Lease, LeaseConfig, Leases, Outcome};
use oms_testkit::{TestDb, wait_for};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

const TABLES: &str = "
    CREATE SEQUENCE lock_generation;
    CREATE TABLE lane (
        name text PRIMARY KEY,
        fence bigint NOT NULL DEFAULT 0,
        holder uuid,
        available bigint NOT NULL DEFAULT 0 CHECK (available >= 0)
    );
    INSERT INTO lane (name) VALUES ('sku');
    -- What was accepted, in order.
    CREATE TABLE accepted (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL,
        fence bigint,
        holder uuid NOT NULL,
        units bigint NOT NULL
    );";

async fn migrate(url: String) -> Result<(), sqlx::Error> {
    let mut database = PgConnection::connect(&url).await?;
    sqlx::raw_sql(TABLES).execute(&mut database).await?;
    database.close().await
}

pub(crate) async fn next_generation(url: String) -> Result<i64, GenerationError> {
    let mut database = PgConnection::connect(&url).await?;
    let next = sqlx::query_scalar("SELECT nextval('lock_generation')").fetch_one(&mut database);
    Ok(next.await?)
}

/// A database with lanes, and the address of a Redis.
pub(crate) struct Warehouse {
    pub(crate) db: TestDb,
    redis_url: String,
}

impl Warehouse {
    pub(crate) async fn new(redis_url: String) -> Self {
        let db = TestDb::create("lanes 2", migrate).await;
        Self { db, redis_url }
    }

    /// The configuration of every holder here.
    pub(crate) fn config(&self, ttl: Duration) -> LeaseConfig {
        let mut config = LeaseConfig::new(&self.redis_url);
        config.ttl = ttl;
        config.connect_timeout = Duration::from_millis(500);
        config.command_timeout = Duration::from_millis(500);
        config
    }

    pub(crate) fn holder(&self, number: u128, ttl: Duration) -> Leases {
        let url = self.db.url().to_owned();
        let next = move || next_generation(url.clone());
        Leases::new(self.config(ttl), Uuid::from_u128(number), next).unwrap()
    }

    /// What a batch does first in its transaction. False: fenced.
    pub(crate) async fn accepts(&self, lease: &Lease, name: &str) -> bool {
        let token = lease.token(name).unwrap().get();
        let accepted = sqlx::query(
            "UPDATE lane SET fence = $2, holder = $3
             WHERE name = $1 AND (fence < $2 OR (fence = $2 AND holder = $3))",
        )
        .bind(name)
        .bind(token)
        .bind(lease.holder())
        .execute(&mut self.db.connect().await)
        .await
        .unwrap();
        accepted.rows_affected() == 1
    }
}

/// Waits for the lease of a name.
pub(crate) async fn leased(leases: &Leases, name: &str) -> Lease {
    wait_for("the lease", || async {
        match leases.acquire(&[name]).await {
            Outcome::Acquired(lease) => Ok(lease),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}
