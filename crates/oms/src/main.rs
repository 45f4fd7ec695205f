//! `oms up | demo | verify`.

use std::process::ExitCode;

fn main() -> ExitCode {
    oms::cli::run()
}
