//! The house rules, checked: who may import whom, where SQL may stand, how migrations, files and
//! docs look. ARCHITECTURE.md says why; this says where. Every test prints all its findings at once.
//!
//! Uses the standard library only: `make tidy` compiles it by itself in two seconds.

mod callers;
mod contract;
mod crates;
mod docs;
mod migrations;
mod planted;
mod repo;
mod rooms;
mod rust;
mod sizes;
mod sql;
mod telemetry;
mod words;

use repo::{Finding, Repo};

/// Fails with every finding, sorted by place.
fn report(rule: &str, mut findings: Vec<Finding>) {
    findings.sort();
    findings.dedup();
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(
        findings.is_empty(),
        "{rule}: {} finding(s)\n{}\n",
        findings.len(),
        lines.join("\n")
    );
}

#[test]
fn rooms_import_only_what_they_may() {
    report("imports between rooms", rooms::imports(&Repo::read()));
}

#[test]
fn services_have_the_same_rooms() {
    report("rooms of a service", rooms::present(&Repo::read()));
}

#[test]
fn domain_is_pure() {
    report("domain/ is pure", rooms::pure_domain(&Repo::read()));
}

#[test]
fn crates_depend_only_on_what_they_may() {
    report("arrows between crates", crates::arrows(&Repo::read()));
}

#[test]
fn dependencies_stand_in_the_root_manifest() {
    report("members' manifests", crates::inherited(&Repo::read()));
}

#[test]
fn sql_stands_in_store() {
    report("SQL only in store/", sql::only_in_store(&Repo::read()));
}

#[test]
fn store_functions_take_the_connection_first() {
    report("store/ functions", sql::connection_first(&Repo::read()));
}

#[test]
fn every_rpc_is_a_command_or_a_query() {
    report("one file per RPC", contract::rpc_files(&Repo::read()));
}

#[test]
fn the_list_of_callers_is_what_services_call() {
    report("list of callers", callers::listed(&Repo::read()));
}

#[test]
fn migrations_follow_the_rules() {
    report("migrations", migrations::all(&Repo::read()));
}

#[test]
fn files_are_short() {
    report("lines of a file", sizes::files(&Repo::read()));
}

#[test]
fn functions_are_short() {
    report("lines of a function", sizes::functions(&Repo::read()));
}

#[test]
fn unfinished_work_has_an_issue() {
    report("unfinished work", words::unfinished(&Repo::read()));
}

#[test]
fn nothing_names_a_registry_or_a_machine() {
    report("forbidden words", words::forbidden(&Repo::read()));
}

#[test]
fn log_messages_are_plain() {
    report("log messages", words::log_messages(&Repo::read()));
}

#[test]
fn decisions_are_listed() {
    report("docs/adr", docs::decisions(&Repo::read()));
}

#[test]
fn readmes_are_there() {
    report("READMEs", docs::readmes(&Repo::read()));
}

#[test]
fn links_in_docs_lead_somewhere() {
    report("links", docs::links(&Repo::read()));
}

#[test]
fn metrics_are_in_the_registry() {
    report("docs/telemetry.md", telemetry::metrics(&Repo::read()));
}

#[test]
fn spans_are_in_the_registry() {
    report("docs/telemetry.md", telemetry::spans(&Repo::read()));
}
