//! From a placed order to cash in a world that breaks, by the pure cores of all five services.
//!
//! One thread, a virtual clock and a seed: the same seed is the same run. Messages are lost, come late, twice and in
//! another order, answers are lost, commits are not heard of, rooms are cut off, saga drivers stall for longer than their lease,
//! and replicas of the order service die at whatever they await. When everything has come to rest, the books must balance (`audit`) and every order have ended.
//!
//! | real, the services' own source files (`cores`) | modelled here |
//! |---|---|
//! | inventory: the board, that is every decision about stock and reservations | its tables, request ids, feed, sweeper |
//! | order: what the saga does next and how it is written (`next`, `follow`), undo order, state machine, counters by reservations, batches for fulfillment, prices of units, capture, refund, renewal, settlement | its tables, leases, cursors, the calls of each step, consumers, tasks, single tender, capture on shipment |
//! | fulfillment: creation of work, both axes, counters, picking, packing, shipping | waves and pick lists, sourcing a short again (units are canceled instead) |
//! | shipping: the shipment's state machine | labels and carriers |
//! | returns: receiving, inspecting, disposing, refund points | labels of returns, stock that comes back |
//!
//! Not simulated: cancelling after the pivot, several tenders, prepaid orders, partners. The crash tests have those.
//!
//! ```text
//! oms-sim                     thousands of seeds, with progress
//! oms-sim --seeds 50000       more
//! oms-sim --seed 7            one seed, with its history
//! oms-sim --sabotage          breaks one rule at a time, and must find each
//! ```

// The files of the services bring their own unit tests, which need more than this program has.
#![cfg(not(test))]

mod audit;
mod cores;
mod driver;
mod floor;
mod life;
mod orders;
mod payments;
mod psp;
mod rooms;
mod steps;
mod stock;
mod tasks;
mod world;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use life::{Report, run};
use world::Sabotage;

/// Seeds of a run.
const SEEDS: u64 = 5_000;
/// Seeds within which a broken rule must be found.
const FOUND_WITHIN: u64 = 400;

/// What is asked on the command line.
struct Asked {
    seed: Option<u64>,
    seeds: u64,
    from: u64,
    sabotage: bool,
}

fn main() -> ExitCode {
    let asked = match asked(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(wrong) => {
            eprintln!("{wrong}\nusage: oms-sim [--seed N | --seeds N [--from N] | --sabotage]");
            return ExitCode::from(64);
        }
    };
    let result = match (asked.seed, asked.sabotage) {
        (Some(seed), _) => replay(seed),
        (None, true) => sabotage(),
        (None, false) => many(asked.from, asked.seeds),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the simulation cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

fn asked(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked {
        seed: None,
        seeds: SEEDS,
        from: 1,
        sabotage: false,
    };
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().unwrap_or_default();
            value
                .parse::<u64>()
                .map_err(|_| format!("{argument}: {value:?} is no number"))
        };
        match argument.as_str() {
            "--seed" => asked.seed = Some(number()?),
            "--seeds" => asked.seeds = number()?,
            "--from" => asked.from = number()?,
            "--sabotage" => asked.sabotage = true,
            other => return Err(format!("{other}: unknown argument")),
        }
    }
    Ok(asked)
}

/// Runs one seed and tells its story.
fn replay(seed: u64) -> std::io::Result<bool> {
    let report = run(seed, None, true)?;
    for line in &report.history {
        println!("{line}");
    }
    println!("seed {seed}: {} violations", report.violations.len());
    Ok(report.violations.is_empty())
}

/// Runs many seeds; stops at the first that is violated, and says how to see it.
fn many(from: u64, seeds: u64) -> std::io::Result<bool> {
    let begun = Instant::now();
    let mut seen: BTreeMap<&'static str, u64> = BTreeMap::new();
    let next = AtomicU64::new(from);
    let (tells, told) = mpsc::channel();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let sound = std::thread::scope(|scope| {
        for _ in 0..threads {
            let (tells, next) = (tells.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // Nobody listens any more once a seed is violated.
                    if seed >= from + seeds || tells.send((seed, run(seed, None, false))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tells);
        for (done, (seed, report)) in (1_u64..).zip(told) {
            let report = report?;
            if !report.violations.is_empty() {
                tell(seed, &report);
                return Ok(false);
            }
            for (what, times) in report.seen {
                *seen.entry(what).or_default() += times;
            }
            if done % 1_000 == 0 {
                println!(
                    "{done} of {seeds} seeds, {:.1} s",
                    begun.elapsed().as_secs_f64()
                );
            }
        }
        Ok::<_, std::io::Error>(true)
    })?;
    if !sound {
        return Ok(false);
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{seeds} seeds from {from} in {seconds:.1} s, no violation. What happened in them:");
    for (what, times) in seen {
        println!("  {times:>9}  {what}");
    }
    Ok(true)
}

fn tell(seed: u64, report: &Report) {
    println!("seed {seed}:");
    for violation in &report.violations {
        println!("  {violation}");
    }
    println!("its history: make sim SEED={seed}");
}

/// Breaks one rule at a time; the first violated seed of each is named.
fn sabotage() -> std::io::Result<bool> {
    let mut all_found = true;
    for broken in Sabotage::ALL {
        let mut found = None;
        for seed in 1..=FOUND_WITHIN {
            let report = run(seed, Some(broken), false)?;
            if let Some(violation) = report.violations.into_iter().next() {
                found = Some((seed, violation));
                break;
            }
        }
        if let Some((seed, violation)) = found {
            println!("{broken:?}: found by seed {seed}: {violation}");
        } else {
            all_found = false;
            println!("{broken:?}: NOT FOUND within {FOUND_WITHIN} seeds");
        }
    }
    Ok(all_found)
}
