//! Several names under one lease: batches of many holders, with and without faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use oms_lock::{Leases, Token};
use oms_testkit::{PrivateRedis, private_redis, wait_for};
use sqlx::{Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::holders::{Holders, send};
use crate::nodes::Nodes;
use crate::warehouse::Warehouse;

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const UNITS: i64 = 250;

/// Chooses names, the same at every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    /// One to four names in no order.
    fn names(&mut self) -> Vec<&'static str> {
        (0..=self.below(4))
            .map(|_| NAMES[self.below(NAMES.len())])
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_two_batches_have_a_name_at_the_same_time() {
    one_batch_per_name(&Holders::new().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_two_batches_have_a_name_at_the_same_time_in_a_cluster() {
    let nodes = Nodes::start().await;
    one_batch_per_name(&Holders::on(nodes.url())).await;
}

/// Without faults a lease of several names is exclusive for each of them, and tokens grow.
async fn one_batch_per_name(holders: &Holders) {
    const TURNS: u64 = 60;
    let inside: Arc<[AtomicBool; NAMES.len()]> = Arc::default();
    let last: Arc<[AtomicI64; NAMES.len()]> = Arc::default();
    let tasks = (0..6).map(|number| {
        let (leases, inside, last) = (holders.holder(), Arc::clone(&inside), Arc::clone(&last));
        tokio::spawn(async move {
            let mut dice = Dice(number);
            let mut got = 0;
            for _ in 0..TURNS {
                let free = leases.acquire_free(&dice.names()).await.unwrap();
                let held: Vec<(usize, Token)> = free
                    .lease
                    .tokens()
                    .map(|(name, token)| {
                        (NAMES.iter().position(|one| *one == name).unwrap(), token)
                    })
                    .collect();
                for (name, token) in &held {
                    assert!(
                        !inside[*name].swap(true, Ordering::SeqCst),
                        "two holders at once"
                    );
                    let before = last[*name].swap(token.get(), Ordering::SeqCst);
                    assert!(before < token.get(), "a token went back");
                }
                tokio::task::yield_now().await;
                for (name, _) in &held {
                    inside[*name].store(false, Ordering::SeqCst);
                }
                got += held.len();
                assert_eq!(
                    leases.release(free.lease).await.unwrap().released,
                    held.len()
                );
            }
            got
        })
    });
    let mut got = 0;
    for task in tasks.collect::<Vec<_>>() {
        got += task.await.unwrap();
    }
    assert!(got >= NAMES.len(), "hardly anybody got anything: {got}");
}

/// Redis is emptied, killed, paused, loses leases and counters, and lets leases expire at the wrong
/// time, while three holders sell several names per batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_to_redis_every_unit_is_sold_once() {
    let redis = private_redis().await;
    let warehouse = Arc::new(Warehouse::new(redis.url()).await);
    let mut database = warehouse.db.connect().await;
    for name in NAMES {
        let lane = "INSERT INTO lane (name, available) VALUES ($1, $2)";
        let lane = sqlx::query(lane).bind(name).bind(UNITS);
        lane.execute(&mut database).await.unwrap();
    }
    let mut sellers = Vec::new();
    for holder in 1..=3 {
        let leases = warehouse.holder(holder, Duration::from_millis(1_500));
        for runner in 0..2 {
            let (leases, warehouse) = (leases.clone(), Arc::clone(&warehouse));
            let dice = Dice(u64::try_from(holder).unwrap() * 10 + runner);
            sellers.push(tokio::spawn(sell_out(warehouse, leases, dice)));
        }
    }
    let faults = break_redis(&redis, &mut database).await;
    for seller in sellers {
        seller.await.unwrap();
    }

    assert!(faults >= FAULTS.len(), "every fault happened: {faults}");
    let wrong = "SELECT name FROM lane LEFT JOIN accepted USING (name) WHERE name <> 'sku'
                 GROUP BY name, available HAVING available <> 0 OR sum(units) IS DISTINCT FROM $1";
    let wrong = sqlx::query(wrong)
        .bind(UNITS)
        .fetch_all(&mut database)
        .await
        .unwrap();
    assert!(wrong.is_empty(), "sold more or less than was there");
    let shared = "SELECT 1 FROM accepted WHERE fence IS NOT NULL
                  GROUP BY name, fence HAVING count(DISTINCT holder) > 1";
    let shared = sqlx::query(shared).fetch_all(&mut database).await.unwrap();
    assert!(
        shared.is_empty(),
        "two holders were accepted with one token"
    );
    let back = "SELECT 1 FROM (SELECT fence, lag(fence) OVER (PARTITION BY name ORDER BY id) AS before
                               FROM accepted WHERE fence IS NOT NULL) AS turns WHERE fence < before";
    let back = sqlx::query(back).fetch_all(&mut database).await.unwrap();
    assert!(
        back.is_empty(),
        "an older token was accepted after a newer one"
    );
    let generations = "SELECT count(DISTINCT fence >> 32) FROM accepted";
    let generations: i64 = sqlx::query_scalar(generations)
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert!(generations > 3, "losses began {generations} generations");
}

/// Sells until nothing is left, as a lane runner does: what is free under leases, everything
/// without when Redis cannot be asked.
async fn sell_out(warehouse: Arc<Warehouse>, leases: Leases, mut dice: Dice) {
    let mut database = warehouse.db.connect().await;
    while left(&mut database).await > 0 {
        let wanted = dice.names();
        let Ok(free) = leases.acquire_free(&wanted).await else {
            let tokens = wanted.iter().map(|name| ((*name).to_owned(), None));
            sell(&mut database, leases.holder(), tokens.collect()).await;
            continue;
        };
        if free.lease.is_fresh() {
            let tokens = free.lease.tokens();
            let tokens = tokens
                .map(|(name, token)| (name.to_owned(), Some(token)))
                .collect();
            for (name, token) in sell(&mut database, leases.holder(), tokens).await {
                let _later = leases.renew_generation(&name, token).await;
            }
        }
        let _expires = leases.release(free.lease).await;
    }
}

/// One transaction: locks lanes in order, compares fences, sells one unit of each. Sells nothing and
/// answers the names whose tokens are not the latest, if there are any.
async fn sell(
    database: &mut PgConnection,
    holder: Uuid,
    tokens: BTreeMap<String, Option<Token>>,
) -> Vec<(String, Token)> {
    let mut tx = database.begin().await.unwrap();
    let names: Vec<&String> = tokens.keys().collect();
    let lock = "SELECT name, fence, holder, available FROM lane
                WHERE name = ANY($1) ORDER BY name FOR UPDATE";
    let lanes = sqlx::query(lock)
        .bind(&names)
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    let mut fenced = Vec::new();
    for lane in &lanes {
        let name: String = lane.get("name");
        let (fence, by): (i64, Option<Uuid>) = (lane.get("fence"), lane.get("holder"));
        if let Some(token) = tokens[&name]
            && !(fence < token.get() || (fence == token.get() && by == Some(holder)))
        {
            fenced.push((name, token));
        }
    }
    if !fenced.is_empty() {
        tx.rollback().await.unwrap();
        return fenced;
    }
    for lane in lanes {
        let (name, available): (String, i64) = (lane.get("name"), lane.get("available"));
        let token = tokens[&name].map(Token::get);
        let sold = i64::from(available > 0);
        let update = "UPDATE lane SET available = available - $2, fence = coalesce($3, fence),
                      holder = CASE WHEN $3 IS NULL THEN holder ELSE $4 END WHERE name = $1";
        let update = sqlx::query(update)
            .bind(&name)
            .bind(sold)
            .bind(token)
            .bind(holder);
        update.execute(&mut *tx).await.unwrap();
        let insert = "INSERT INTO accepted (name, fence, holder, units) VALUES ($1, $2, $3, $4)";
        let insert = sqlx::query(insert)
            .bind(&name)
            .bind(token)
            .bind(holder)
            .bind(sold);
        insert.execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    fenced
}

async fn left(database: &mut PgConnection) -> i64 {
    let left = "SELECT sum(available)::bigint FROM lane";
    sqlx::query_scalar(left).fetch_one(database).await.unwrap()
}

/// What happens to Redis.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// All keys are gone.
    Emptied,
    /// A counter is what it was long ago.
    FellBack,
    /// A lease is gone.
    Lost,
    /// The clock of Redis ran ahead.
    Expired,
    /// The clock of Redis stands still.
    Stays,
    /// It does not answer, until so many more units are sold without it.
    Paused,
    /// It is killed, and empty when it is back.
    Restarted,
}

const FAULTS: [Fault; 7] = [
    Fault::Emptied,
    Fault::FellBack,
    Fault::Lost,
    Fault::Expired,
    Fault::Stays,
    Fault::Paused,
    Fault::Restarted,
];

/// One fault after the other, each after some more units, until everything is sold. Answers how
/// many there were.
async fn break_redis(redis: &PrivateRedis, database: &mut PgConnection) -> usize {
    const BETWEEN: i64 = 40;
    let url = redis.url();
    let mut count = 0;
    for fault in FAULTS.into_iter().cycle() {
        if fewer(database, BETWEEN).await == 0 {
            break;
        }
        count += 1;
        let key = |kind: &str| format!("oms:{kind}:{{{}}}", NAMES[count % NAMES.len()]);
        match fault {
            Fault::Emptied => drop(send(&url, "FLUSHALL", &[]).await),
            Fault::FellBack => drop(send(&url, "SET", &[&key("fc"), "0"]).await),
            Fault::Lost => drop(send(&url, "DEL", &[&key("lk")]).await),
            Fault::Expired => drop(send(&url, "PEXPIRE", &[&key("lk"), "1"]).await),
            Fault::Stays => drop(send(&url, "PEXPIRE", &[&key("lk"), "3000"]).await),
            Fault::Paused => {
                redis.pause().unwrap();
                fewer(database, BETWEEN).await;
                redis.resume().unwrap();
            }
            Fault::Restarted => redis.restart().unwrap(),
        }
    }
    count
}

/// Waits until so many more units are sold, or all; answers how many are left.
async fn fewer(database: &mut PgConnection, units: i64) -> i64 {
    let goal = left(database).await - units;
    let database = tokio::sync::Mutex::new(database);
    wait_for("units to be sold", || async {
        let left = left(*database.lock().await).await;
        if left <= goal.max(0) {
            Ok(left)
        } else {
            Err(format!("{left} left, goal {goal}"))
        }
    })
    .await
}
