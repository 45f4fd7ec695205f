//! The crash suite of the reservation engine: flash sales over three replicas of inventory, real processes on a Postgres
//! and a Redis of their own, while whatever may break breaks. Every unit is sold once, and what was acknowledged is there.
//!
//! - `plan`: stock, orders and faults, from one seed
//! - `buyer`: a client that follows the documented rules
//! - `sale`: runs a plan
//! - `faults`: what may happen
//! - `audit`: SQL of its own, and what buyers were told
//! - `report`: the table for people
//! - `planted`: the audit finds what is planted
//!
//! `OMS_CRASH_SEED` replays a plan: orders, faults and their order; how the processes interleave is the machine's affair.
//! The long form is `make crash`, with `OMS_CRASH_ROUNDS` and `OMS_CRASH_ONLY`.

mod audit;
mod buyer;
mod faults;
mod plan;
mod planted;
mod report;
mod sale;

use std::path::{Path, PathBuf};

use anyhow::ensure;
use oms_engines::EnginesConfig;
use oms_tests::crash::{durable, rounds, seed};
use oms_tests::fresh_id;
use oms_tests::suite::{engines, engines_in};
use oms_tests::summary::{Row, append};

use faults::Fault;
use oms_tests::dice::Dice;
use plan::{Early, Scenario};
use report::Outcome;

const NODE: &str = env!("CARGO_BIN_EXE_oms-node");

/// Buyers at the same time in the short form.
const CALLERS: usize = 60;

/// A directory on the disk, where a commit takes its time and batches grow.
fn on_disk() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(fresh_id())
}

async fn run(scenario: &Scenario, engines: EnginesConfig, seed: u64) -> anyhow::Result<Outcome> {
    Box::pin(sale::run(NODE, engines, scenario, seed)).await
}

/// Runs a scenario once.
async fn once(scenario: Scenario) -> anyhow::Result<()> {
    let outcome = run(&scenario, durable(engines()?), seed()?).await?;
    report::conclude(&[outcome])
}

/// One SKU, and everybody wants it at once.
fn flash_sale() -> Scenario {
    Scenario {
        name: "R4 flash sale",
        skus: 1,
        units: 300,
        callers: CALLERS,
        late: 100,
        early: Early::None,
        faults: Vec::new(),
    }
}

/// Orders of several SKUs, then single units until all are gone.
fn mixed_sale() -> Scenario {
    Scenario {
        name: "R4 several SKUs",
        skus: 5,
        units: 60,
        late: 10,
        early: Early::Mixed,
        ..flash_sale()
    }
}

fn with_faults(name: &'static str, skus: usize, units: i64, faults: &[Fault]) -> Scenario {
    Scenario {
        name,
        skus,
        units,
        callers: CALLERS,
        late: 20,
        early: Early::Paced,
        faults: faults.to_vec(),
    }
}

fn redis() -> Scenario {
    let faults = [Fault::RedisFlushed, Fault::RedisKilled, Fault::RedisSilent];
    with_faults("R5 Redis", 3, 250, &faults)
}

fn stale_holder() -> Scenario {
    with_faults("R6 stale lease", 1, 600, &[Fault::HolderStopped])
}

fn postgres() -> Scenario {
    let faults = [
        Fault::PostgresStopped,
        Fault::BackendKilled,
        Fault::PostgresKilled,
    ];
    with_faults("R7 Postgres", 3, 250, &faults)
}

fn replicas() -> Scenario {
    let faults = [Fault::ReplicaKilled, Fault::ReplicaKilled];
    with_faults("replicas killed", 3, 200, &faults)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flash_sale_sells_every_unit_once() -> anyhow::Result<()> {
    once(flash_sale()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_several_skus_sell_out_every_sku() -> anyhow::Result<()> {
    once(mixed_sale()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_while_redis_is_emptied_killed_and_silent() -> anyhow::Result<()> {
    once(redis()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_wakes_up_after_its_lease_is_fenced_off() -> anyhow::Result<()> {
    once(stale_holder()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_while_postgres_crashes_loses_nothing_acknowledged() -> anyhow::Result<()> {
    once(postgres()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_while_replicas_are_killed() -> anyhow::Result<()> {
    once(replicas()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_finds_what_is_planted() -> anyhow::Result<()> {
    let small = Scenario {
        units: 20,
        late: 5,
        ..flash_sale()
    };
    Box::pin(planted::plant(NODE, durable(engines()?), &small, seed()?)).await
}

/// The sales of the long form.
fn long_form() -> Vec<Scenario> {
    use Fault::{
        BackendKilled, HolderStopped, PostgresKilled, PostgresStopped, RedisFlushed, RedisKilled,
        RedisSilent, ReplicaKilled,
    };
    let crowd = |scenario: Scenario| Scenario {
        callers: 1_200,
        late: 2_000 / i64::try_from(scenario.skus).unwrap_or(1),
        ..scenario
    };
    vec![
        crowd(Scenario {
            units: 10_000,
            ..flash_sale()
        }),
        crowd(Scenario {
            skus: 20,
            units: 400,
            ..mixed_sale()
        }),
        crowd(with_faults(
            "R5 Redis",
            3,
            3_000,
            &[RedisFlushed, RedisKilled, RedisSilent].repeat(3),
        )),
        crowd(with_faults(
            "R6 stale lease",
            1,
            6_000,
            &[HolderStopped].repeat(4),
        )),
        crowd(with_faults(
            "R6 several SKUs",
            4,
            1_500,
            &[HolderStopped].repeat(2),
        )),
        crowd(with_faults(
            "R7 Postgres",
            3,
            3_000,
            &[PostgresStopped, BackendKilled, PostgresKilled].repeat(3),
        )),
        crowd(with_faults(
            "replicas killed",
            3,
            2_000,
            &[ReplicaKilled].repeat(6),
        )),
        crowd(with_faults(
            EVERYTHING,
            5,
            2_000,
            &[
                RedisFlushed,
                RedisKilled,
                RedisSilent,
                HolderStopped,
                ReplicaKilled,
                PostgresStopped,
                PostgresKilled,
                BackendKilled,
            ]
            .repeat(2),
        )),
    ]
}

/// Its faults come in another order with every seed.
const EVERYTHING: &str = "everything";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: make crash"]
async fn the_long_form() -> anyhow::Result<()> {
    let rounds = u64::try_from(rounds()?.unwrap_or(1))?;
    let only = std::env::var("OMS_CRASH_ONLY").unwrap_or_default();
    let first = seed()?;
    let (mut outcomes, mut failed) = (Vec::new(), Vec::new());
    for seed in first..first + rounds {
        for mut scenario in long_form() {
            if !scenario.name.starts_with(&only) {
                continue;
            }
            if scenario.name == EVERYTHING {
                Dice::new(seed).shuffle(&mut scenario.faults);
            }
            match run(&scenario, durable(engines_in(on_disk())), seed).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    append(&Row {
                        scenario: scenario.name.to_owned(),
                        seed: Some(seed),
                        failure: Some(format!("{error:#}")),
                        ..Row::default()
                    })?;
                    failed.push(format!("{}, seed {seed}: {error:#}", scenario.name));
                }
            }
        }
    }
    report::conclude(&outcomes)?;
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}
