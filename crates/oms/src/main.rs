//! `oms up | demo | verify | feed | bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    oms::cli::run()
}
