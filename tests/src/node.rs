//! One service, or the sandbox payment provider, as a process of its own, for tests that kill it:
//! `oms-node order serve --config FILE`, `oms-node sandbox-psp --listen ADDR --postgres-url URL`.

use std::process::ExitCode;

use oms_service::{AnyProgram, cli};

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let name = arguments.nth(1).unwrap_or_default();
    if name == "sandbox-psp" {
        let command = std::iter::once("oms".into()).chain(std::env::args_os().skip(1));
        return oms::cli::run_with(command);
    }
    let program: &dyn AnyProgram = match name.as_str() {
        "order" => &oms_order::Order,
        "inventory" => &oms_inventory::Inventory,
        "fulfillment" => &oms_fulfillment::Fulfillment,
        "shipping" => &oms_shipping::Shipping,
        "returns" => &oms_returns::Returns,
        _ => return ExitCode::from(64),
    };
    // What is left begins with the name of the service, which stands for the name of the program.
    let rest = std::iter::once(name.clone()).chain(arguments);
    ExitCode::from(cli::run_with(program, rest))
}
