//! `oms-order serve | migrate | check-config | print-defaults`.

use std::process::ExitCode;

fn main() -> ExitCode {
    oms_service::cli::run(&oms_order::Order)
}
