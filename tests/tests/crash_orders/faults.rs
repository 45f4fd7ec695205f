//! What happens to orders under way. Every fault ends, and waits until an order is served that came after it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use oms::suite::SERVICES;
use oms_tests::crash::{blocking, say};
use oms_tests::dice::Dice;
use oms_tests::nodes::{Nodes, PROVIDER};
use oms_tests::provider::connect;
use tokio::time::Instant;

use crate::life::Shop;

/// Most orders that reach the floor between two faults.
const BETWEEN_FAULTS: usize = 4;
/// Longest that a process stays dead, in milliseconds.
const DEAD_MS: usize = 1_500;
/// Of a hundred kills, those that take a second service with them.
const TWO_AT_ONCE: usize = 20;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9` of one or two processes: services, or the payment provider.
    ProcessKilled,
    /// All connections to the database of one service end.
    DatabaseGone,
    /// `pg_ctl stop -m immediate`, and a start.
    PostgresStopped,
    /// `kill -9` of all of Postgres, and a start.
    PostgresKilled,
}

/// What faults did.
#[derive(Debug)]
pub(crate) struct Struck {
    /// Seconds from each until an order that came after it had reached the floor and all processes answered.
    pub(crate) recovered: Vec<f64>,
    /// When the last one struck.
    pub(crate) last: Instant,
}

/// Lets faults strike one after the other.
pub(crate) async fn strike_all(
    faults: &[Fault],
    seed: u64,
    nodes: &mut Nodes,
    shop: &Shop,
) -> anyhow::Result<Struck> {
    // Other dice than those of the orders, so that a fault more or less changes no order.
    let mut dice = Dice::new(!seed);
    let mut struck = Struck {
        recovered: Vec::new(),
        last: Instant::now(),
    };
    for fault in faults {
        shop.pulse.more(1 + dice.below(BETWEEN_FAULTS)).await?;
        struck.last = Instant::now();
        let what = fault.strike(&mut dice, nodes).await;
        let what = what.with_context(|| format!("{fault:?}"))?;
        let ready = struck.last.elapsed();
        let served = shop.pulse.goes_on_after(struck.last).await;
        let served = served.with_context(|| format!("after {what}"))?;
        let seconds = ready.max(served).as_secs_f64();
        say(format!(
            "  {what} at {} orders, recovered in {seconds:.2} s",
            shop.begun()
        ));
        struck.recovered.push(seconds);
    }
    Ok(struck)
}

impl Fault {
    async fn strike(self, dice: &mut Dice, nodes: &mut Nodes) -> anyhow::Result<String> {
        match self {
            Self::ProcessKilled => {
                let mut victims: Vec<&str> = SERVICES.iter().map(|(name, _)| *name).collect();
                victims.push(PROVIDER);
                dice.shuffle(&mut victims);
                victims.truncate(1 + usize::from(dice.percent(TWO_AT_ONCE)));
                for victim in &victims {
                    nodes.kill(victim)?;
                }
                let dead = u64::try_from(dice.below(DEAD_MS))?;
                tokio::time::sleep(Duration::from_millis(dead)).await;
                for victim in &victims {
                    nodes.spawn(victim)?;
                }
                for victim in &victims {
                    nodes.until_ready(victim).await?;
                }
                Ok(format!("kill -9 of {}", victims.join(" and ")))
            }
            Self::DatabaseGone => {
                let (service, _) = SERVICES[dice.below(SERVICES.len())];
                let mut conn = connect(&nodes.engines.postgres_url(), "postgres").await?;
                sqlx::query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                )
                .bind(format!("oms_{service}"))
                .execute(&mut conn)
                .await?;
                Ok(format!("all connections of {service} ended"))
            }
            Self::PostgresStopped | Self::PostgresKilled => {
                let engines = Arc::clone(&nodes.engines);
                blocking(move || {
                    let postgres = engines.postgres().context("Postgres is not ours")?;
                    if self == Self::PostgresStopped {
                        postgres.stop_immediately();
                    }
                    Ok(postgres.restart()?)
                })
                .await?;
                Ok(if self == Self::PostgresStopped {
                    "immediate restart of Postgres".to_owned()
                } else {
                    "kill -9 of Postgres".to_owned()
                })
            }
        }
    }
}
