//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use oms_engines::EnginesConfig;

use crate::audit::{self, Audit};
use crate::bench::reservations::Measure;
use crate::connection::ConnectionArgs;
use crate::{bench, demo, feed, identity, repair, sandbox_psp, smoke, up, verify};

/// Exit code when something was found wrong: violations, or missed targets that were to be met.
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
    /// Place one real order in a running suite, follow it until stock and money are set aside, and cancel it. Ends with 2 when a step
    /// failed, with 3 when the order may still be open.
    Smoke(smoke::SmokeArgs),
    /// Check or write out the audit logs.
    #[command(subcommand)]
    Audit(Audit),
    /// Mends what the restore of one database from a backup left behind.
    #[command(subcommand)]
    Repair(Repair),
    /// Look at event feeds.
    #[command(subcommand)]
    Feed(Feed),
    /// Keys of partners.
    #[command(subcommand)]
    ApiKey(identity::ApiKey),
    /// Print a token of an issuer of this machine, for development.
    DevToken(identity::DevTokenArgs),
    /// Serve the sandbox payment provider alone, until Ctrl-C.
    SandboxPsp(SandboxPspArgs),
    /// Measure speed beside what the same work costs without this program.
    #[command(subcommand)]
    Bench(Bench),
}

/// What is done with feeds.
#[derive(Debug, Subcommand)]
enum Feed {
    /// Print the events of a service as they come. Ends with 3 when the feed has another epoch, with 4 when the position is
    /// not kept any more.
    Tail(TailArgs),
}

/// What is measured.
#[derive(Debug, Subcommand)]
enum Bench {
    /// Stock reservations through gRPC, beside hand-written transactions that write the same rows.
    Reservations(ReservationsArgs),
    /// The relay that moves committed events into the feed, beside a hand-written transaction that moves the same rows; and
    /// how soon events are at a subscriber.
    Feed(FeedBenchArgs),
    /// Orders placed per second, and whole orders to cash, beside transactions that write the same rows.
    Orders(OrdersBenchArgs),
    /// What is served when several times as much is asked for as can be served, and how soon all is as before.
    Overload(OverloadArgs),
    /// Callers beside slow clients, floods of resets and bad tokens, beside the same callers alone; and the server's memory.
    Abuse(AbuseBenchArgs),
    /// The server of `abuse`, in a process of its own.
    #[command(hide = true)]
    AbuseServer(AbuseServerArgs),
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
    /// Postgres server that holds the five databases. They may also be in different places: `OMS_ORDER__DATABASE__URL` and its
    /// like, set for all five services, name them.
    #[arg(long, value_name = "URL", env = "OMS_POSTGRES_URL")]
    pub(crate) postgres_url: Option<String>,
    /// Folder of `oms up`, whose Postgres is asked when nothing else is given.
    #[arg(long, default_value = ".oms", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Judge relations between services also where something changed within the last minute.
    #[arg(long)]
    pub(crate) at_rest: bool,
    /// Check again and again until Ctrl-C; the exit code is that of the last round.
    #[arg(long, conflicts_with = "at_rest")]
    pub(crate) watch: bool,
    /// Seconds between two rounds of --watch.
    #[arg(long, default_value_t = 60, value_name = "S", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) every: u64,
    /// Where --watch serves `/metrics`, such as 0.0.0.0:9105.
    #[arg(long, value_name = "ADDRESS", requires = "watch")]
    pub(crate) metrics_listen: Option<String>,
    /// Print the result as JSON; with --watch one line per round.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Service whose feed is followed, at the port that `oms up` gives it.
    #[arg(required_unless_present = "address", value_parser = ["order", "inventory", "fulfillment", "shipping", "returns"])]
    pub(crate) service: Option<String>,
    /// Address of the service, if it is elsewhere.
    #[arg(long, value_name = "URL")]
    pub(crate) address: Option<String>,
    /// Position after which to start; 0 is the oldest event that is kept. Only new events if absent.
    #[arg(long, value_name = "POS", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) from: Option<i64>,
    /// Epoch in which the position was read.
    #[arg(long, value_name = "UUID")]
    pub(crate) epoch: Option<String>,
    /// Only events of this type, such as OrderPlaced; may be given several times.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) types: Vec<String>,
    /// Only events of this channel; may be given several times.
    #[arg(long = "channel", value_name = "ID")]
    pub(crate) channels: Vec<String>,
    /// Only events of this location; may be given several times.
    #[arg(long = "location", value_name = "ID")]
    pub(crate) locations: Vec<String>,
    /// Stop after so many events.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Stop where the feed ended when the command began.
    #[arg(long)]
    pub(crate) until_head: bool,
    /// Print a CloudEvent in JSON per line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Who asks, where callers are believed.
    #[arg(long, default_value = "user:oms", value_name = "PRINCIPAL")]
    pub(crate) principal: String,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

#[derive(Debug, Subcommand)]
enum Repair {
    /// Reservations that orders hold and inventory has forgotten: listed, or made again.
    Reservations(RepairArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// Postgres server that holds the order database.
    #[arg(long, value_name = "URL", env = "OMS_POSTGRES_URL")]
    pub(crate) postgres_url: Option<String>,
    /// Folder of `oms up`, whose Postgres is asked when no URL is given.
    #[arg(long, default_value = ".oms", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Address of the inventory service.
    #[arg(long, default_value = "http://127.0.0.1:7002", value_name = "URL")]
    pub(crate) inventory: String,
    /// Make them again; without it, nothing is changed.
    #[arg(long)]
    pub(crate) apply: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SandboxPspArgs {
    /// Where to serve; never where others than developers and tests can reach it.
    #[arg(long, default_value = "127.0.0.1:7090", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Postgres server; the database oms_sandbox_psp is made if it is missing.
    #[arg(long, value_name = "URL", env = "OMS_POSTGRES_URL")]
    pub(crate) postgres_url: String,
    /// Where charges are told: http://HOST:7001/webhooks/payments/sandbox of the order service.
    #[arg(long, value_name = "URL", requires = "webhook_secret")]
    pub(crate) webhook_url: Option<String>,
    /// Secret that webhooks are signed with: payments.sandbox.webhook_secret of the order service.
    #[arg(
        long,
        value_name = "SECRET",
        env = "OMS_SANDBOX_PSP_WEBHOOK_SECRET",
        hide_env_values = true,
        default_value = ""
    )]
    pub(crate) webhook_secret: String,
}

#[derive(Debug, Args)]
pub(crate) struct ReservationsArgs {
    /// Folder below which the private engines keep their data while they run; on the disk that is measured.
    #[arg(long, default_value = ".oms", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Rounds of each measure; the medians count.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// Callers at the same time.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=150))]
    pub(crate) callers: u32,
    /// SKUs over which callers spread.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) skus: u32,
    /// Replicas of the inventory service in the flash sale.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) replicas: u32,
    /// Only these measures.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) only: Vec<Measure>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Fail also when a speed target is missed, not only when the books are wrong.
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FeedBenchArgs {
    /// Folder below which the private engines keep their data while they run; on the disk that is measured.
    #[arg(long, default_value = ".oms", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Rounds of each measure; the medians count.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Seconds of each round of lag.
    #[arg(long, default_value_t = 3, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// Events of each round of the relay, in whole thousands.
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) events: u32,
    /// Callers at the same time while lag is measured.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=150))]
    pub(crate) callers: u32,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OrdersBenchArgs {
    /// Folder below which the private engines keep their data while they run; on the disk that is measured.
    #[arg(long, default_value = ".oms", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Rounds of each measure; the medians count.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Seconds of each round of placing.
    #[arg(long, default_value_t = 3, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// Orders of each round to cash.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) orders: u32,
    /// Callers at the same time.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=150))]
    pub(crate) callers: u32,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OverloadArgs {
    /// Folder below which the private engines keep their data while they run; on the disk that is measured.
    #[arg(long, default_value = ".oms", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Rounds of each measure; the medians count.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// How many times as much is asked for as can be served.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) times: u32,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Fail also when a target is missed, not only when the books are wrong.
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AbuseBenchArgs {
    /// Folder below which the private engines keep their data while they run.
    #[arg(long, default_value = ".oms", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Rounds of each attack; the medians count.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Seconds of each window, quiet or beside an attack.
    #[arg(long, default_value_t = 5, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// Callers that behave well; each calls 25 times a second.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) callers: u32,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Fail also when a target is missed, not only when a caller was refused.
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AbuseServerArgs {
    /// Database of the order service, migrated.
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: String,
    /// Public keys of the issuer of tokens.
    #[arg(long, value_name = "FILE")]
    pub(crate) jwks_file: PathBuf,
}

/// Runs the command that the process was called with.
pub fn run() -> ExitCode {
    run_with(std::env::args_os())
}

/// Runs the command of these arguments, of which the first is the name of the program.
pub fn run_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = Cli::parse_from(arguments);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Up(args) => up::up(&args).await.map(|()| ExitCode::SUCCESS),
            Command::Demo(args) => demo::demo(&args).await.map(judged),
            Command::SandboxPsp(args) => {
                sandbox_psp::serve(&args).await.map(|()| ExitCode::SUCCESS)
            }
            Command::Verify(args) => verify::command(&args).await.map(judged),
            Command::Smoke(args) => Box::pin(smoke::command(&args)).await,
            Command::Audit(args) => audit::command(&args).await.map(judged),
            Command::Repair(Repair::Reservations(args)) => repair::command(&args).await.map(judged),
            Command::ApiKey(command) => identity::api_key(&command).map(|()| ExitCode::SUCCESS),
            Command::DevToken(args) => identity::dev_token(&args).map(|()| ExitCode::SUCCESS),
            Command::Feed(Feed::Tail(args)) => feed::tail::command(&args).await,
            Command::Bench(Bench::Reservations(args)) => {
                bench::reservations::command(&args).await.map(judged)
            }
            Command::Bench(Bench::Feed(args)) => bench::feed::command(&args).await.map(judged),
            Command::Bench(Bench::Orders(args)) => bench::orders::command(&args).await.map(judged),
            Command::Bench(Bench::Overload(args)) => {
                bench::overload::command(&args).await.map(judged)
            }
            Command::Bench(Bench::Abuse(args)) => bench::abuse::command(&args).await.map(judged),
            Command::Bench(Bench::AbuseServer(args)) => bench::abuse::server::serve(&args)
                .await
                .map(|()| ExitCode::SUCCESS),
        }
    });
    result.unwrap_or_else(|error| failed(&error))
}

/// The exit code of a command that finds all well or not.
fn judged(is_well: bool) -> ExitCode {
    if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_VIOLATIONS)
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
