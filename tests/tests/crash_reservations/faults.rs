//! What may happen to a sale. Every fault waits until it can be seen that it hit, ends, and waits until sales go on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oms_tests::replicas::Replicas;
use oms_tests::suite::wait_for;
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use crate::sale::Sale;
use oms_tests::dice::Dice;

/// Commands that went without a lease, by reason.
pub(crate) const BYPASS: &str = "oms_inventory_lease_bypass_total";
/// Batches that were refused because a later lease had been seen.
pub(crate) const FENCED: &str = "oms_inventory_lease_fenced_total";
/// Counters of leases that were begun anew.
const GENERATIONS: &str = "oms_lock_generations_total";
/// Why leases were not asked for when Redis is at fault.
const OF_REDIS: [&str; 5] = [
    "connect",
    "timeout",
    "command",
    "cooling_down",
    "generation",
];
/// Reservations during which the bypass must stay where it is.
const AT_REST: usize = 12;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Redis forgets everything.
    RedisFlushed,
    /// `kill -9` of Redis, which comes back empty.
    RedisKilled,
    /// Redis takes connections and is silent for a while.
    RedisSilent,
    /// SIGSTOP of a replica whose batch holds a lease and is about to begin its transaction, until the lease has run
    /// out and others have written under later ones.
    HolderStopped,
    /// `kill -9` of a replica.
    ReplicaKilled,
    /// `pg_ctl stop -m immediate`, and a start.
    PostgresStopped,
    /// `kill -9` of all of Postgres, and a start.
    PostgresKilled,
    /// `kill -9` of one backend, upon which Postgres drops all connections and recovers by itself.
    BackendKilled,
}

/// What a fault did.
#[derive(Debug, Clone)]
pub(crate) struct Struck {
    pub(crate) what: String,
    /// From the fault until an order that came after it was served.
    pub(crate) recovered_in: Duration,
}

impl Fault {
    pub(crate) async fn strike(
        self,
        dice: &mut Dice,
        replicas: &mut Replicas,
        sale: &Sale,
    ) -> anyhow::Result<Struck> {
        let at = Instant::now();
        let (what, recovered_in) = match self {
            Self::RedisFlushed => {
                let generations = replicas.total(GENERATIONS, |_| true).await?;
                let at = Instant::now();
                replicas.with_redis(oms_engines::Redis::flush).await?;
                rises(replicas, GENERATIONS, generations).await?;
                ("FLUSHALL".to_owned(), sale.pulse.goes_on_after(at).await?)
            }
            Self::RedisKilled => (
                "kill -9 of Redis".to_owned(),
                redis_gone(replicas, sale, Outage::Killed).await?,
            ),
            Self::RedisSilent => (
                "Redis silent".to_owned(),
                redis_gone(replicas, sale, Outage::Silent).await?,
            ),
            Self::HolderStopped => {
                let victim = dice.below(replicas.count());
                let recovered_in = stop_holder(replicas, victim, sale).await?;
                (format!("lease holder {victim} stopped"), recovered_in)
            }
            Self::ReplicaKilled => {
                let victim = dice.below(replicas.count());
                replicas.kill(victim)?;
                let recovered_in = sale.pulse.goes_on_after(at).await?;
                replicas.restart(victim).await?;
                (format!("kill -9 of replica {victim}"), recovered_in)
            }
            Self::PostgresStopped => {
                let crash = |postgres: &oms_engines::Postgres| {
                    postgres.stop_immediately();
                    postgres.restart()
                };
                replicas.with_postgres(crash).await?;
                (
                    "immediate restart of Postgres".to_owned(),
                    sale.pulse.goes_on_after(at).await?,
                )
            }
            Self::PostgresKilled => {
                replicas
                    .with_postgres(oms_engines::Postgres::restart)
                    .await?;
                (
                    "kill -9 of Postgres".to_owned(),
                    sale.pulse.goes_on_after(at).await?,
                )
            }
            Self::BackendKilled => {
                kill_backend(&replicas.database_url()).await?;
                (
                    "kill -9 of a Postgres backend".to_owned(),
                    sale.pulse.goes_on_after(at).await?,
                )
            }
        };
        Ok(Struck { what, recovered_in })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    Killed,
    Silent,
}

/// Takes Redis away until commands go without leases, and gives it back.
async fn redis_gone(replicas: &Replicas, sale: &Sale, outage: Outage) -> anyhow::Result<Duration> {
    let bypassed = bypassed(replicas).await?;
    let generations = replicas.total(GENERATIONS, |_| true).await?;
    let at = Instant::now();
    let take_away = move |redis: &oms_engines::Redis| match outage {
        Outage::Killed => {
            redis.kill();
            Ok(())
        }
        Outage::Silent => redis.pause(),
    };
    replicas.with_redis(take_away).await?;
    wait_for("commands to go without leases", || async {
        let now = self::bypassed(replicas).await?;
        Ok(if now > bypassed {
            Ok(())
        } else {
            Err(format!("{now} after {bypassed}"))
        })
    })
    .await?;
    let recovered_in = sale.pulse.goes_on_after(at).await?;
    match outage {
        Outage::Killed => {
            replicas.with_redis(oms_engines::Redis::restart).await?;
            // Leases are asked for again, of a Redis that knows nothing.
            rises(replicas, GENERATIONS, generations).await?;
        }
        Outage::Silent => replicas.with_redis(oms_engines::Redis::resume).await?,
    }
    until_leases_are_back(replicas, sale).await?;
    Ok(recovered_in)
}

/// Commands that went without leases on account of Redis.
async fn bypassed(replicas: &Replicas) -> anyhow::Result<f64> {
    let of_redis = |labels: &str| {
        OF_REDIS
            .iter()
            .any(|reason| labels.contains(&format!("\"{reason}\"")))
    };
    replicas.total(BYPASS, of_redis).await
}

/// Waits until reservations are made and none of them goes without a lease on account of Redis.
async fn until_leases_are_back(replicas: &Replicas, sale: &Sale) -> anyhow::Result<()> {
    let since = std::cell::Cell::new((sale.pulse.count(), bypassed(replicas).await?));
    wait_for("the bypass to come to rest", || async {
        let (served, before) = since.get();
        let now = bypassed(replicas).await?;
        let more = sale.pulse.count() - served;
        if now > before {
            since.set((sale.pulse.count(), now));
        }
        Ok(if now <= before && more >= AT_REST {
            Ok(())
        } else {
            Err(format!("{now} after {before}, {more} reservations"))
        })
    })
    .await
}

async fn rises(replicas: &Replicas, counter: &str, above: f64) -> anyhow::Result<()> {
    wait_for(&format!("{counter} to rise"), || async {
        let now = replicas.total(counter, |_| true).await?;
        Ok(if now > above {
            Ok(())
        } else {
            Err(format!("{now} after {above}"))
        })
    })
    .await
}

/// Stops a replica that is about to write under leases; wakes it when one of their lanes has seen a later one; sees its
/// batch refused.
async fn stop_holder(replicas: &Replicas, victim: usize, sale: &Sale) -> anyhow::Result<Duration> {
    let fenced_before = fenced(replicas, victim).await?;
    let tokens = replicas.stop_at_failpoint(victim).await?;
    let at = Instant::now();
    wait_for("a lane to see a later lease", || async {
        let fences = fences(&replicas.database_url()).await?;
        let mut stale = tokens
            .iter()
            .filter(|(sku, token)| fences.get(*sku) > Some(token));
        Ok(if stale.next().is_some() {
            Ok(())
        } else {
            Err(format!("{fences:?} after {tokens:?}"))
        })
    })
    .await?;
    let recovered_in = sale.pulse.goes_on_after(at).await?;
    replicas.get(victim)?.resume()?;
    wait_for("the stale batch to be fenced off", || async {
        let now = fenced(replicas, victim).await?;
        Ok(if now > fenced_before {
            Ok(())
        } else {
            Err(format!("{now} after {fenced_before}"))
        })
    })
    .await?;
    Ok(recovered_in)
}

async fn fenced(replicas: &Replicas, number: usize) -> anyhow::Result<f64> {
    let metrics = replicas.get(number)?.metrics().await?;
    Ok(metrics.get(FENCED).copied().unwrap_or_default())
}

/// By SKU, the highest token of a lease that wrote to its lane.
async fn fences(database_url: &str) -> anyhow::Result<BTreeMap<String, i64>> {
    let mut conn = PgConnection::connect(database_url).await?;
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT sku, fence FROM sku_lane")
        .fetch_all(&mut conn)
        .await?;
    conn.close().await?;
    Ok(rows.into_iter().collect())
}

/// Kills a backend of its own: to Postgres it is one like all others.
async fn kill_backend(database_url: &str) -> anyhow::Result<()> {
    let mut conn = PgConnection::connect(database_url).await?;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut conn)
        .await?;
    ensure!(pid > 1, "no backend has the id {pid}");
    kill(Pid::from_raw(pid), Signal::SIGKILL).context("kill -9 of a backend")?;
    Ok(())
}
