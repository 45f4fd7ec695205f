//! `oms up | demo | verify | bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    oms::cli::run()
}
