//! `oms bench`: how fast things are, beside what the same work costs without this program. One run measures both in
//! turn on the same engines, and the ratio counts: figures of a shared machine say little by themselves.
//!
//! | module | what it is |
//! |---|---|
//! | [`reservations`] | stock reservations beside transactions written by hand |
//! | [`orders`] | orders placed, and whole orders to cash, beside the same rows written by hand |
//! | [`overload`] | what is served when five times as much is asked for |
//! | [`feed`] | the relay beside a transaction written by hand, and how soon events are at subscribers |
//! | [`abuse`] | callers beside clients that waste the server's time, beside the same callers alone |
//! | [`figures`] | speed and latency, medians over rounds, targets |
//! | [`pgbench`] | runs scripts of `bench/` against Postgres |
//! | [`report`] | what came of it, for people and for machines |
//! | [`facts`] | the machine and the engines |
//! | [`store`] | what the benches read of the databases, with SQL of their own |
//! | [`bars`] | progress |

pub(crate) mod abuse;
mod bars;
mod facts;
pub(crate) mod feed;
mod figures;
pub(crate) mod orders;
pub(crate) mod overload;
mod pgbench;
mod report;
pub(crate) mod reservations;
mod store;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use oms_engines::{Engines, EnginesConfig};
use oms_telemetry::TelemetryConfig;

use crate::verify::{Finding, Verdict};

/// Does something on private engines that are forgotten at the end, below this folder.
async fn on_engines<T, F>(
    dir: &Path,
    silent: bool,
    run: impl FnOnce(Arc<Engines>) -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    // As `oms up`, but warnings would break the progress bars; RUST_LOG=info shows what logging costs.
    let quiet = TelemetryConfig {
        filter: "error".to_owned(),
        ..TelemetryConfig::default()
    };
    let telemetry = oms_telemetry::start("oms", &quiet).context("telemetry")?;
    let mut config = EnginesConfig::new(dir.join(format!("ephemeral-{}", std::process::id())));
    config.cache = dir.join("engines");
    config.ephemeral = true;
    if !silent {
        config.progress = oms_engines::to_stderr();
    }
    let engines = Arc::new(tokio::task::spawn_blocking(move || Engines::start(&config)).await??);
    let result = tokio::select! {
        result = run(Arc::clone(&engines)) => result,
        () = oms_service::cli::asked_to_end() => Err(anyhow::anyhow!("interrupted")),
    };
    tokio::task::spawn_blocking(move || engines.stop()).await?;
    telemetry.shutdown().await;
    result
}

/// What the verifier found, a line each.
fn violations(verdict: &Verdict) -> Vec<String> {
    let bad = |finding: &&Finding| finding.violations > 0;
    let told = |finding: &Finding| {
        let Finding {
            name,
            says,
            violations,
            examples,
            ..
        } = finding;
        format!("{name} ({says}): {violations}, such as {examples:?}")
    };
    verdict.invariants.iter().filter(bad).map(told).collect()
}

/// The engines of the test run. pgbench works in a directory of its own.
#[cfg(test)]
async fn test_engines() -> Arc<Engines> {
    let dir = std::env::temp_dir().join(format!("oms-bench-{}", oms_testkit::unique()));
    let cache = dir.join("engines");
    let mut config = EnginesConfig::throwaway(dir, cache);
    config.postgres_url = Some(oms_testkit::postgres_url().await);
    config.redis_url = Some(oms_testkit::redis_url().await);
    start(config).await
}

/// Engines of one test alone, for the five services, whose databases have the same names everywhere.
#[cfg(test)]
async fn own_engines() -> Arc<Engines> {
    let dir = std::env::temp_dir().join(format!("oms-bench-{}", oms_testkit::unique()));
    let cache = dir.join("engines");
    start(EnginesConfig::throwaway(dir, cache)).await
}

#[cfg(test)]
async fn start(config: EnginesConfig) -> Arc<Engines> {
    let start = move || Engines::start(&config).unwrap();
    Arc::new(tokio::task::spawn_blocking(start).await.unwrap())
}
