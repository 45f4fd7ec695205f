//! The command line that every service has: `serve`, `migrate`, `check-config`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Layers;
use crate::program::{AnyProgram, Runtime, StartError};

/// Exit code for a command line or a configuration that cannot be used (`EX_USAGE`).
const EXIT_USAGE: u8 = 64;

/// Exit code for everything else that goes wrong.
const EXIT_FAILURE: u8 = 1;

#[derive(Debug, Parser)]
#[command(version, about = "A service of the order management system", long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT, then finish calls and background work.
    Serve(Options),
    /// Bring the database to the schema of this program, and end.
    Migrate(Options),
    /// After the database was restored: give the event feed another epoch, and end. Consumers stop until they are resynced.
    NewEpoch(Options),
    /// After a peer's database was restored: read its feed again from the beginning at the next start, and end.
    Resync {
        /// Name of the peer, such as inventory.
        peer: String,
        #[command(flatten)]
        options: Options,
    },
    /// Check the configuration as serve does before it opens a port, and end.
    CheckConfig(Options),
    /// Print the documented defaults, as a start for a configuration file.
    PrintDefaults,
}

#[derive(Debug, Args)]
struct Options {
    /// Configuration file (TOML). It wins over the embedded defaults; the environment wins over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Believe callers who they are. For development: binds to loopback only.
    #[arg(long)]
    insecure_dev: bool,
}

impl Options {
    fn layers(&self) -> Layers {
        let layers = Layers::of_program(self.config.as_deref());
        if self.insecure_dev {
            return layers.with("insecure_dev = true");
        }
        layers
    }
}

/// Runs a program by its command line; the whole of a service's `main`.
///
/// The exit code is 0, or 64 when the command line or the configuration cannot be used (no port was
/// opened then), or 1.
pub fn run(program: &dyn AnyProgram) -> ExitCode {
    ExitCode::from(run_with(program, std::env::args_os()))
}

/// [`run`] with these arguments, the first of which is the name of the program; answers the exit code.
pub fn run_with<A>(program: &dyn AnyProgram, args: impl IntoIterator<Item = A>) -> u8
where
    A: Into<OsString> + Clone,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come as errors too. Nobody is left to tell when printing fails.
            let _ = error.print();
            return if error.use_stderr() { EXIT_USAGE } else { 0 };
        }
    };
    let Err(error) = execute(program, &cli.command) else {
        return 0;
    };
    say_error(program, &error);
    match error {
        StartError::Config(_) | StartError::Telemetry(_) => EXIT_USAGE,
        _ => EXIT_FAILURE,
    }
}

fn execute(program: &dyn AnyProgram, command: &Command) -> Result<(), StartError> {
    let options = match command {
        Command::PrintDefaults => {
            say(program.defaults().trim_end());
            return Ok(());
        }
        Command::Serve(options)
        | Command::Migrate(options)
        | Command::NewEpoch(options)
        | Command::Resync { options, .. }
        | Command::CheckConfig(options) => options,
    };
    let layers = options.layers();
    let common = program.check_config(&layers)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| StartError::Broken(error.to_string()))?;
    runtime.block_on(async {
        if matches!(command, Command::CheckConfig(_)) {
            program.check_config_to_serve(&layers)?;
            say("the configuration can be used");
            return Ok(());
        }
        let service_name = format!("oms-{}", program.name());
        let telemetry = oms_telemetry::start(&service_name, &common.telemetry)?;
        let result = match command {
            Command::Migrate(_) => program.migrate(&layers).await,
            Command::NewEpoch(_) => {
                let epoch = program.new_epoch(&layers).await;
                epoch.map(|epoch| say(&format!("the feed has the epoch {epoch} now")))
            }
            Command::Resync { peer, .. } => {
                let forgotten = program.resync(&layers, peer).await;
                forgotten.map(|forgotten| say(&resynced(peer, forgotten)))
            }
            _ => serve(program, &layers).await,
        };
        telemetry.shutdown().await;
        result
    })
}

fn resynced(peer: &str, forgotten: bool) -> String {
    if forgotten {
        format!("the feed of {peer} is read from its beginning at the next start")
    } else {
        format!("nothing was read of a feed of {peer}")
    }
}

async fn serve(program: &dyn AnyProgram, layers: &Layers) -> Result<(), StartError> {
    // One wait for all of it, so that no signal falls between two.
    let mut asked_to_end = pin!(asked_to_end());
    let mut handle = tokio::select! {
        started = program.start(layers, Runtime::default()) => started?,
        // Nothing to finish yet.
        () = asked_to_end.as_mut() => return Ok(()),
    };
    tokio::select! {
        ended = handle.join() => return ended,
        () = asked_to_end => {}
    }
    handle.shutdown().await
}

/// Answers at SIGTERM or SIGINT.
pub async fn asked_to_end() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "signals cannot be received");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::interrupt()) => {}
    }
}

#[expect(
    clippy::print_stdout,
    reason = "results of commands go to standard output"
)]
fn say(text: &str) {
    println!("{text}");
}

#[expect(
    clippy::print_stderr,
    reason = "errors of commands go to standard error, also when logging has not started"
)]
fn say_error(program: &dyn AnyProgram, error: &StartError) {
    eprintln!("oms-{}: {error}", program.name());
}
