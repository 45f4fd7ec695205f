//! Shows what the crash suite has noted: `oms-crash-summary FILE`. Fails when a scenario did.

use std::process::ExitCode;

use anyhow::Context;
use oms_tests::summary;

#[expect(clippy::print_stdout, reason = "the table is the result")]
fn main() -> anyhow::Result<ExitCode> {
    let path = std::env::args_os().nth(1).context("which file?")?;
    let (table, passed) = summary::table(&std::fs::read_to_string(path)?)?;
    println!(
        "{table}\n\
         units: at a location or with a customer, of those received. money kept: captured less refunded, in minor units, by our \
         payments and by the provider's ledger.\n\
         p50, p99: from a fault until an order that came after it was served. rest: from the last fault until every order was final or \
         validly waiting, the longest."
    );
    Ok(ExitCode::from(u8::from(!passed)))
}
