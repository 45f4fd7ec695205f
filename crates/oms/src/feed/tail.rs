//! `oms feed tail`: prints events as they come.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use oms_core::Principal;
use oms_proto::CloudEvents;
use oms_proto::events::v1::{Event, EventFilter};
use oms_service::{PeerChannel, PeerConfig, client};

use super::follow::{Follower, Lost, Wanted};
use super::line;
use crate::cli::TailArgs;
use crate::suite::SERVICES;

/// Exit code when the feed has another epoch.
const EXIT_EPOCH_CHANGED: u8 = 3;
/// Exit code when the position is not kept.
const EXIT_POSITION_GONE: u8 = 4;

/// Prints events until a limit is reached or the user has seen enough.
pub(crate) async fn command(args: &TailArgs) -> anyhow::Result<ExitCode> {
    match tail(args).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Whoever reads has gone, as `head` does.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => match error.downcast::<Lost>() {
            Ok(lost) => {
                say(&format!("error: {lost}"));
                Ok(ExitCode::from(match lost {
                    Lost::Epoch { .. } => EXIT_EPOCH_CHANGED,
                    Lost::Position { .. } => EXIT_POSITION_GONE,
                }))
            }
            Err(error) => Err(error),
        },
    }
}

async fn tail(args: &TailArgs) -> anyhow::Result<()> {
    let wanted = Wanted {
        epoch: args.epoch.clone().unwrap_or_default(),
        after_pos: args.from,
        filter: EventFilter {
            types: args.types.clone(),
            channel_ids: args.channels.clone(),
            location_ids: args.locations.clone(),
            aggregate_ids: Vec::new(),
        },
    };
    let mut feed = Follower::start(connect(args)?, wanted).await?;
    say(&format!(
        "after position {} of epoch {}; the head is {}",
        feed.pos, feed.epoch, feed.head_pos
    ));
    let mut printer = Printer::new(args)?;
    let until = if args.until_head {
        feed.head_pos
    } else {
        i64::MAX
    };
    let mut printed_pos = feed.pos;
    while printed_pos < until && !printer.is_done() {
        let batch = feed.next(say).await?;
        for event in batch.events.iter().filter(|event| event.pos <= until) {
            printer.print(event)?;
            printed_pos = event.pos;
            if printer.is_done() {
                break;
            }
        }
        io::stdout().flush()?;
        if !printer.is_done() {
            printed_pos = batch.through_pos.min(until);
        }
    }
    say(&format!(
        "ended after position {printed_pos} of epoch {}",
        feed.epoch
    ));
    Ok(())
}

/// A channel on behalf of whoever asks.
fn connect(args: &TailArgs) -> anyhow::Result<PeerChannel> {
    let service = args.service.as_deref().unwrap_or("service");
    let port = SERVICES.iter().find(|(name, _)| *name == service);
    let address = match (&args.address, port) {
        (Some(address), _) if address.contains("://") => address.clone(),
        (Some(address), _) => format!("http://{address}"),
        (None, Some((_, port))) => format!("http://127.0.0.1:{port}"),
        (None, None) => anyhow::bail!("name a service or give its --address"),
    };
    let principal: Principal = args.principal.parse().context("--principal")?;
    let credentials = args.connection.credentials(&[&address])?;
    let channel = client::connect_as(&credentials, service, &PeerConfig::new(address), "oms")?;
    Ok(channel.on_behalf_of(&principal))
}

/// Writes lines to standard output.
struct Printer {
    /// Absent for people.
    json: Option<CloudEvents>,
    /// Events that may still be printed.
    left: u64,
}

impl Printer {
    fn new(args: &TailArgs) -> anyhow::Result<Self> {
        Ok(Self {
            json: args.json.then(CloudEvents::new).transpose()?,
            left: args.limit.unwrap_or(u64::MAX),
        })
    }

    fn is_done(&self) -> bool {
        self.left == 0
    }

    fn print(&mut self, event: &Event) -> anyhow::Result<()> {
        let line = match &self.json {
            Some(lines) => lines.json(event)?,
            None => line::text(event)?,
        };
        writeln!(io::stdout(), "{line}")?;
        self.left = self.left.saturating_sub(1);
        Ok(())
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// To standard error: standard output is for events alone.
#[expect(clippy::print_stderr, reason = "a command tells its user what it does")]
fn say(what: &str) {
    eprintln!("{what}");
}
