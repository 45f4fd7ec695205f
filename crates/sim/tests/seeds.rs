//! The simulation as a test: many seeds without a violation, and every rule that is broken on purpose is found.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::process::Command;

/// Some minutes of CI are worth thousands of accidents; `make sim` runs more.
const SEEDS: &str = "2000";

fn simulate(arguments: &[&str]) {
    let done = Command::new(env!("CARGO_BIN_EXE_oms-sim"))
        .args(arguments)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{told}");
    print!("{told}");
}

#[test]
fn no_seed_breaks_the_books() {
    simulate(&["--seeds", SEEDS]);
}

#[test]
fn every_broken_rule_is_found() {
    simulate(&["--sabotage"]);
}
