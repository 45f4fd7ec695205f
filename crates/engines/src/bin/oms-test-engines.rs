//! Setup script of a test run (see `.config/nextest.toml`): starts a throwaway Postgres and Redis
//! once, tells nextest their addresses, and leaves a process behind that stops them when the run
//! is over, however it ended.
//!
//! Addresses in `OMS_TEST_POSTGRES_URL` and `OMS_TEST_REDIS_URL` are used instead of starting.

use std::env;
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use oms_engines::{Engines, EnginesConfig, is_alive, scratch};

const POSTGRES_VAR: &str = "OMS_TEST_POSTGRES_URL";
const REDIS_VAR: &str = "OMS_TEST_REDIS_URL";
/// How often the keeper looks whether the run still lives.
const WATCH: Duration = Duration::from_millis(200);

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => set_up(),
        ["keep", run, dir] => keep(run, Path::new(dir)),
        _ => Err("usage: oms-test-engines (as a setup script of cargo nextest)".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the keeper, waits until it has the engines and passes their addresses on.
fn set_up() -> Outcome {
    let variables = env::var_os("NEXTEST_ENV").ok_or("NEXTEST_ENV is not set: run by nextest?")?;
    if env::var_os(POSTGRES_VAR).is_some() && env::var_os(REDIS_VAR).is_some() {
        return Ok(());
    }
    let dir = scratch::create()?;
    let log = dir.join("keeper.log");
    let mut keeper = Command::new(env::current_exe()?)
        .args(["keep", &run_process().to_string()])
        .arg(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log)?)
        // It must see the end of the run, not die with it.
        .process_group(0)
        .spawn()?;
    let said = keeper.stdout.take().ok_or("the keeper has no output")?;
    for line in BufReader::new(said).lines() {
        let line = line?;
        if let Some(addresses) = line.strip_prefix("ready ") {
            let (postgres, redis) = addresses.split_once(' ').ok_or("two addresses expected")?;
            let mut variables = OpenOptions::new().append(true).open(variables)?;
            writeln!(variables, "{POSTGRES_VAR}={postgres}\n{REDIS_VAR}={redis}")?;
            return Ok(());
        }
        eprintln!("{line}");
    }
    keeper.wait()?;
    Err(fs::read_to_string(&log).unwrap_or_default().into())
}

/// Runs the engines until the test run has ended.
fn keep(run: &str, dir: &Path) -> Outcome {
    let run: u32 = run.parse()?;
    let mut config = EnginesConfig::throwaway(dir, cache());
    config.postgres_url = env::var(POSTGRES_VAR).ok();
    config.redis_url = env::var(REDIS_VAR).ok();
    config.progress = Arc::new(|line| println!("{line}"));
    let engines = Engines::start(&config)?;
    println!("ready {} {}", engines.postgres_url(), engines.redis_url());
    while is_alive(run) {
        thread::sleep(WATCH);
    }
    engines.stop();
    Ok(())
}

/// Downloaded programs are kept beside this package's workspace, for all runs.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.oms/engines")
}

/// The process that runs the tests: the nearest nextest above us, else our parent.
fn run_process() -> u32 {
    let parent = parent_id();
    let mut process = parent;
    for _ in 0..8 {
        if name(process).is_some_and(|name| name.starts_with("cargo-nextest")) {
            return process;
        }
        match parent_of(process) {
            Some(above) if above > 1 => process = above,
            _ => break,
        }
    }
    parent
}

fn name(process: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{process}/comm")).ok()
}

fn parent_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // `pid (name) state parent ..`
    stat.rsplit_once(") ")?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}
