//! `oms-inventory serve | migrate | check-config`.

use std::process::ExitCode;

fn main() -> ExitCode {
    oms_service::cli::run(&oms_inventory::Inventory)
}
