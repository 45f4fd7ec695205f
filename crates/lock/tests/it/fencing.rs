//! The other half of the lease: a row in Postgres that refuses a holder whose lease is not the latest.

use std::time::Duration;

use oms_lock::Leases;
use oms_testkit::private_redis;

use crate::holders::send;
use crate::warehouse::{Warehouse, leased, next_generation};

const NAME: &str = "sku";

async fn acquired(leases: &Leases) -> oms_lock::Lease {
    leased(leases, NAME).await
}

#[tokio::test]
async fn a_holder_that_slept_past_its_lease_is_refused() {
    let redis = private_redis().await;
    let warehouse = Warehouse::new(redis.url()).await;
    let short = Duration::from_millis(1_500);
    let (sleeper, next) = (warehouse.holder(1, short), warehouse.holder(2, short));
    let stale = acquired(&sleeper).await;
    assert!(warehouse.accepts(&stale, NAME).await);
    assert!(
        warehouse.accepts(&stale, NAME).await,
        "a second batch under the same lease"
    );

    let current = acquired(&next).await;
    assert!(warehouse.accepts(&current, NAME).await);
    assert!(
        !warehouse.accepts(&stale, NAME).await,
        "its lease has passed to another holder"
    );
    assert!(warehouse.accepts(&current, NAME).await);
}

#[tokio::test]
async fn a_redis_that_forgot_everything_fences_nobody_by_mistake() {
    let redis = private_redis().await;
    let warehouse = Warehouse::new(redis.url()).await;
    let long = Duration::from_mins(2);
    let (one, other) = (warehouse.holder(1, long), warehouse.holder(2, long));
    let before = acquired(&one).await;
    assert!(warehouse.accepts(&before, NAME).await);

    send(&redis.url(), "FLUSHALL", &[]).await;
    let after = acquired(&other).await;
    assert!(
        warehouse.accepts(&after, NAME).await,
        "the new holder goes on at once"
    );
    assert!(
        !warehouse.accepts(&before, NAME).await,
        "the old one has lost its lease with the data"
    );

    redis.kill();
    redis.restart().unwrap();
    let again = acquired(&one).await;
    assert!(warehouse.accepts(&again, NAME).await);
    assert!(!warehouse.accepts(&after, NAME).await);
}

/// An old generation can come back: a holder that was paused between getting it from the database
/// and installing it. Its tokens are refused until somebody renews the generation.
#[tokio::test]
async fn a_generation_that_went_back_is_fenced_and_then_renewed() {
    let redis = private_redis().await;
    let warehouse = Warehouse::new(redis.url()).await;
    let leases = warehouse.holder(1, Duration::from_mins(2));
    let forgotten = next_generation(warehouse.db.url().to_owned())
        .await
        .unwrap();
    let good = acquired(&leases).await;
    assert!(warehouse.accepts(&good, NAME).await);
    leases.release(good).await.unwrap();

    send(&redis.url(), "FLUSHALL", &[]).await;
    for (key, value) in [("oms:gen:{sku}", forgotten), ("oms:fc:{sku}", 0)] {
        send(&redis.url(), "SET", &[key, &value.to_string()]).await;
    }
    let old = acquired(&leases).await;
    assert!(!warehouse.accepts(&old, NAME).await);
    assert_eq!(
        leases
            .renew_generation(NAME, old.token(NAME).unwrap())
            .await,
        Ok(true)
    );
    leases.release(old).await.unwrap();
    let renewed = acquired(&leases).await;
    assert!(warehouse.accepts(&renewed, NAME).await);
}
