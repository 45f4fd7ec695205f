//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use oms_engines::EnginesConfig;

use crate::{demo, up, verify};

/// Exit code of a verifier that found violations.
const EXIT_VIOLATIONS: u8 = 2;

#[derive(Debug, Parser)]
#[command(version, about = "An order management system: from a placed order to cash and back", long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start private engines and all services, until Ctrl-C.
    Up(UpArgs),
    /// Take retail orders to cash and show it.
    Demo(DemoArgs),
    /// Check the five databases against every invariant.
    Verify(VerifyArgs),
}

/// Where the engines are.
#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    /// Folder of the private engines and their data.
    #[arg(long, default_value = ".oms", value_name = "DIR")]
    dir: PathBuf,
    /// Use this Postgres server instead of a private one; its databases are made if they are missing.
    #[arg(long, value_name = "URL")]
    postgres_url: Option<String>,
    /// Use this Redis server instead of a private one.
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
}

impl EngineArgs {
    /// The configuration of the engines; `ephemeral` forgets everything at the end.
    pub(crate) fn config(&self, ephemeral: bool) -> EnginesConfig {
        let mut config = EnginesConfig::new(&self.dir);
        if ephemeral {
            // Beside the durable data, so that those stay untouched.
            config.dir = self.dir.join(format!("ephemeral-{}", std::process::id()));
            config.cache = self.dir.join("engines");
            config.ephemeral = true;
        }
        config.postgres_url.clone_from(&self.postgres_url);
        config.redis_url.clone_from(&self.redis_url);
        config
    }
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) engines: EngineArgs,
    /// Forget all data at the end.
    #[arg(long)]
    pub(crate) ephemeral: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    pub(crate) engines: EngineArgs,
    /// CSV file of orders in the columns of the Superstore data set; the built-in sample of 500 if absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) orders: Option<PathBuf>,
    /// Orders that are placed at the same time.
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub(crate) callers: usize,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Postgres server that holds the five databases.
    #[arg(long, value_name = "URL", env = "OMS_POSTGRES_URL")]
    pub(crate) postgres_url: Option<String>,
    /// Folder of `oms up`, whose Postgres is asked when no URL is given.
    #[arg(long, default_value = ".oms", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Judge relations between services also where something changed within the last minute.
    #[arg(long)]
    pub(crate) at_rest: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs the command that the process was called with.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Up(args) => up::up(&args).await.map(|()| true),
            Command::Demo(args) => demo::demo(&args).await,
            Command::Verify(args) => verify::command(&args).await,
        }
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_VIOLATIONS),
        Err(error) => failed(&error),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a command tells its user why it failed"
)]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
