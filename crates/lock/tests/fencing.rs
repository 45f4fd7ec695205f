//! The other half of the lease: a row in Postgres that refuses a holder whose lease is not the
//! latest. The same rule as in the inventory service, on the smallest table that shows it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

use std::time::Duration;

use oms_lock::{GenerationError, Lease, LeaseConfig, Leases, Outcome};
use oms_testkit::{PrivateRedis, TestDb, private_redis, wait_for};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

const NAME: &str = "sku";

async fn migrate(url: String) -> Result<(), sqlx::Error> {
    let mut database = PgConnection::connect(&url).await?;
    let tables = "CREATE SEQUENCE lock_generation;
                  CREATE TABLE lane (name text PRIMARY KEY, fence bigint NOT NULL, holder uuid);
                  INSERT INTO lane VALUES ('sku', 0, NULL)";
    sqlx::raw_sql(tables).execute(&mut database).await?;
    database.close().await
}

async fn next_generation(url: String) -> Result<i64, GenerationError> {
    let mut database = PgConnection::connect(&url).await?;
    let next = sqlx::query_scalar("SELECT nextval('lock_generation')").fetch_one(&mut database);
    Ok(next.await?)
}

/// A database with one lane, and a Redis to break.
struct Warehouse {
    db: TestDb,
    redis: PrivateRedis,
}

impl Warehouse {
    async fn new() -> Self {
        let db = TestDb::create("lane 1", migrate).await;
        Self {
            db,
            redis: private_redis().await,
        }
    }

    fn holder(&self, number: u128, ttl: Duration) -> Leases {
        let mut config = LeaseConfig::new(self.redis.url());
        config.ttl = ttl;
        config.connect_timeout = Duration::from_millis(500);
        config.command_timeout = Duration::from_millis(500);
        let url = self.db.url().to_owned();
        let next = move || next_generation(url.clone());
        Leases::new(config, Uuid::from_u128(number), next).unwrap()
    }

    /// What a batch does first in its transaction. False: fenced.
    async fn accepts(&self, lease: &Lease) -> bool {
        let token = lease.token(NAME).unwrap().get();
        let accepted = sqlx::query(
            "UPDATE lane SET fence = $2, holder = $3
             WHERE name = $1 AND (fence < $2 OR (fence = $2 AND holder = $3))",
        )
        .bind(NAME)
        .bind(token)
        .bind(lease.holder())
        .execute(&mut self.db.connect().await)
        .await
        .unwrap();
        accepted.rows_affected() == 1
    }

    async fn flush(&self) {
        let client = redis::Client::open(self.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("FLUSHALL")
            .exec_async(&mut connection)
            .await
            .unwrap();
    }
}

async fn acquired(leases: &Leases) -> Lease {
    wait_for("the lease", || async {
        match leases.acquire(&[NAME]).await {
            Outcome::Acquired(lease) => Ok(lease),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_holder_that_slept_past_its_lease_is_refused() {
    let warehouse = Warehouse::new().await;
    let short = Duration::from_millis(1_500);
    let (sleeper, next) = (warehouse.holder(1, short), warehouse.holder(2, short));
    let stale = acquired(&sleeper).await;
    assert!(warehouse.accepts(&stale).await);
    assert!(
        warehouse.accepts(&stale).await,
        "a second batch under the same lease"
    );

    let current = acquired(&next).await;
    assert!(warehouse.accepts(&current).await);
    assert!(
        !warehouse.accepts(&stale).await,
        "its lease has passed to another holder"
    );
    assert!(warehouse.accepts(&current).await);
}

#[tokio::test]
async fn a_redis_that_forgot_everything_fences_nobody_by_mistake() {
    let warehouse = Warehouse::new().await;
    let long = Duration::from_mins(2);
    let (one, other) = (warehouse.holder(1, long), warehouse.holder(2, long));
    let before = acquired(&one).await;
    assert!(warehouse.accepts(&before).await);

    warehouse.flush().await;
    let after = acquired(&other).await;
    assert!(
        warehouse.accepts(&after).await,
        "the new holder goes on at once"
    );
    assert!(
        !warehouse.accepts(&before).await,
        "the old one has lost its lease with the data"
    );

    warehouse.redis.kill();
    warehouse.redis.restart().unwrap();
    let again = acquired(&one).await;
    assert!(warehouse.accepts(&again).await);
    assert!(!warehouse.accepts(&after).await);
}

/// An old generation can come back: a holder that was paused between getting it from the database
/// and installing it. Its tokens are refused until somebody renews the generation.
#[tokio::test]
async fn a_generation_that_went_back_is_fenced_and_then_renewed() {
    let warehouse = Warehouse::new().await;
    let leases = warehouse.holder(1, Duration::from_mins(2));
    let forgotten = next_generation(warehouse.db.url().to_owned())
        .await
        .unwrap();
    let good = acquired(&leases).await;
    assert!(warehouse.accepts(&good).await);
    leases.release(good).await.unwrap();

    warehouse.flush().await;
    let client = redis::Client::open(warehouse.redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    for (key, value) in [("oms:gen:{sku}", forgotten), ("oms:fc:{sku}", 0)] {
        redis::cmd("SET")
            .arg(key)
            .arg(value)
            .exec_async(&mut redis)
            .await
            .unwrap();
    }
    let old = acquired(&leases).await;
    assert!(!warehouse.accepts(&old).await);
    assert_eq!(
        leases
            .renew_generation(NAME, old.token(NAME).unwrap())
            .await,
        Ok(true)
    );
    leases.release(old).await.unwrap();
    let renewed = acquired(&leases).await;
    assert!(warehouse.accepts(&renewed).await);
}
