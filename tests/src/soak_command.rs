//! The soak: `oms-soak [--minutes N] [--seed N] [--dir DIR] [--json]`. Appends a line to `DIR/results.jsonl` and writes
//! `DIR/soak.html`. Fails when something grows or the books are wrong.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use oms_tests::crash;
use oms_tests::soak::{Plan, Report, page, run};

/// Looks of a run, at the most; fewer when they would be more often than every second.
const LOOKS: f64 = 360.0;

struct Asked {
    minutes: f64,
    seed: Option<u64>,
    dir: PathBuf,
    json: bool,
}

fn asked(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Asked> {
    let mut asked = Asked {
        minutes: 30.0,
        seed: None,
        dir: PathBuf::from(".oms/soak"),
        json: false,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let value = arguments.next();
            value.with_context(|| format!("{argument} takes a value"))
        };
        match argument.as_str() {
            "--minutes" => asked.minutes = value()?.parse().context("--minutes takes a number")?,
            "--seed" => asked.seed = Some(value()?.parse().context("--seed takes a number")?),
            "--dir" => asked.dir = value()?.into(),
            "--json" => asked.json = true,
            other => bail!("{other} is no option: --minutes N, --seed N, --dir DIR, --json"),
        }
    }
    if !(0.1..=10_000.0).contains(&asked.minutes) {
        bail!("--minutes must be 0.1 to 10000");
    }
    Ok(asked)
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let asked = asked(std::env::args().skip(1))?;
    // Beside this program.
    let program = std::env::current_exe()?.with_file_name("oms-node");
    let program = program.to_str().context("path of oms-node")?.to_owned();
    let time = Duration::from_secs_f64(asked.minutes * 60.0);
    let plan = Plan {
        seed: asked.seed.map_or_else(crash::seed, Ok)?,
        time,
        peak_time: (time / 6).clamp(Duration::from_secs(15), Duration::from_mins(1)),
        every: time.div_f64(LOOKS).max(Duration::from_secs(1)),
    };
    let report = run(&program, plan).await?;
    std::fs::create_dir_all(&asked.dir)?;
    append(&asked.dir.join("results.jsonl"), &report)?;
    std::fs::write(asked.dir.join("soak.html"), page::html(&report))?;
    print(&report, asked.json)?;
    Ok(ExitCode::from(u8::from(!report.passed())))
}

fn append(path: &std::path::Path, report: &Report) -> anyhow::Result<()> {
    let line = serde_json::to_string(report)? + "\n";
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    Ok(file.write_all(line.as_bytes())?)
}

#[expect(clippy::print_stdout, reason = "the report is the result")]
fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    println!("{}", page::table(report));
    for violation in &report.violations {
        println!("VIOLATION: {violation}");
    }
    println!("{}", page::sentence(report));
    Ok(())
}
