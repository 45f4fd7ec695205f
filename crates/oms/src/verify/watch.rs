//! `oms verify --watch`: the verifier as a process, with a line per round for people and metrics for alerts.

use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::routing::get;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use oms_core::{Clock, SystemClock};
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Databases, Verdict, check};

/// Violations of each invariant in the last round.
const VIOLATIONS: &str = "oms.invariant.violations";
/// Rows and relations that the last round looked at for each invariant.
const CHECKED: &str = "oms.invariant.checked";
/// When the last round ended, as a Unix time. An alert on its age finds a verifier that hangs.
const LAST_ROUND: &str = "oms.verify.last_round_timestamp";
/// Rounds that could not read the databases.
const FAILED: &str = "oms.verify.failed_rounds";

/// How to watch.
#[derive(Debug, Clone)]
pub struct Watch {
    /// From the end of a round to the next one.
    pub every: Duration,
    /// Where `/metrics` is served.
    pub metrics_listen: Option<String>,
    /// A verdict per line instead of a sentence.
    pub json: bool,
}

/// Checks again and again until `stop`; true when the last round found nothing.
///
/// # Errors
/// When metrics cannot be served at the address. A database that cannot be read is told and tried again.
pub async fn watch(
    databases: &Databases,
    how: &Watch,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    describe();
    let recorded = oms_telemetry::metrics();
    if let Some(address) = &how.metrics_listen {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let router = Router::new().route("/metrics", get(move || async move { recorded.render() }));
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    let mut is_sound = true;
    loop {
        let round = tokio::select! {
            () = stop.cancelled() => return Ok(is_sound),
            round = check(databases, false) => round,
        };
        match round {
            Ok(verdict) => {
                is_sound = verdict.violations() == 0;
                record(&verdict);
                tell(&verdict, how.json)?;
            }
            Err(error) => {
                counter!(FAILED).increment(1);
                complain(&error);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(is_sound),
            () = tokio::time::sleep(how.every) => {}
        }
    }
}

fn describe() {
    describe_gauge!(
        VIOLATIONS,
        "violations of each invariant in the last round of the verifier"
    );
    describe_gauge!(
        CHECKED,
        "rows and relations that the last round looked at, by invariant"
    );
    describe_gauge!(LAST_ROUND, "when the verifier ended its last round");
    describe_counter!(
        FAILED,
        "rounds of the verifier that could not read the databases"
    );
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
fn record(verdict: &Verdict) {
    for finding in &verdict.invariants {
        gauge!(VIOLATIONS, "invariant" => finding.name).set(finding.violations as f64);
        gauge!(CHECKED, "invariant" => finding.name).set(finding.checked as f64);
    }
    gauge!(LAST_ROUND).set(SystemClock.now().unix_timestamp() as f64);
}

#[expect(clippy::print_stdout, reason = "the verdict is the command's result")]
fn tell(verdict: &Verdict, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(verdict)?);
        return Ok(());
    }
    println!("{} {}", now(), verdict.sentence());
    let violated = verdict.invariants.iter().filter(|one| one.violations > 0);
    for finding in violated {
        println!("  {}: {}", finding.name, finding.says);
        for example in &finding.examples {
            println!("  - {example}");
        }
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a command tells its user what failed")]
fn complain(error: &anyhow::Error) {
    eprintln!("{} the databases cannot be read: {error:#}", now());
}

/// The time of day as people and logs read it.
fn now() -> String {
    let now = SystemClock.now();
    let seconds = now.replace_nanosecond(0).unwrap_or(now);
    seconds.format(&Rfc3339).unwrap_or_default()
}
