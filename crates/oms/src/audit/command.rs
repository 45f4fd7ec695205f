//! The command line of `oms audit`.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{Checkpoint, Report, export, verify, verify_export};
use crate::verify::{Databases, server_of_folder};

/// What is done with audit logs.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Compute the chains of the five logs again, and name rows that were changed, removed, inserted or moved.
    Verify(VerifyAuditArgs),
    /// Write the five logs into a file, a JSON object per line.
    Export(ExportAuditArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Postgres server that holds the five databases.
    #[arg(long, value_name = "URL", env = "OMS_POSTGRES_URL")]
    postgres_url: Option<String>,
    /// Folder of `oms up`, whose Postgres is asked when no URL is given.
    #[arg(long, default_value = ".oms", value_name = "DIR")]
    dir: PathBuf,
}

impl ServerArgs {
    fn databases(&self) -> anyhow::Result<Databases> {
        match &self.postgres_url {
            Some(url) => Databases::on_server(url),
            None => Databases::on_server(&server_of_folder(&self.dir)?),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct VerifyAuditArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Check this exported file instead of the databases.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Row that must have this hash, as a log line `audit checkpoint` told it; may be given several times.
    #[arg(long = "checkpoint", value_name = "SERVICE:SEQ:HASH")]
    checkpoints: Vec<Checkpoint>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportAuditArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// File to write; what it held before is gone.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

/// `oms audit`; true when every chain holds.
#[expect(clippy::print_stdout, reason = "the result is what the command is for")]
pub(crate) async fn command(audit: &Audit) -> anyhow::Result<bool> {
    match audit {
        Audit::Verify(args) => {
            let report = match &args.file {
                Some(path) => {
                    let named = || format!("cannot read {}", path.display());
                    let file = File::open(path).with_context(named)?;
                    verify_export(BufReader::new(file), &args.checkpoints).with_context(named)?
                }
                None => verify(&args.server.databases()?, &args.checkpoints).await?,
            };
            if args.json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                println!("{}", words(&report));
            }
            Ok(report.violations() == 0)
        }
        Audit::Export(args) => {
            let named = || format!("cannot write {}", args.file.display());
            let file = File::create(&args.file).with_context(named)?;
            let rows = export(&args.server.databases()?, BufWriter::new(file)).await?;
            println!("{rows} rows written to {}", args.file.display());
            Ok(true)
        }
    }
}

fn words(report: &Report) -> String {
    let mut lines = Vec::new();
    for one in &report.services {
        let head = format!("{}:{}:{}", one.service, one.head_seq, one.head_hash);
        let verdict = match one.violations {
            0 => "the chain holds".to_owned(),
            violations => format!("{violations} violations"),
        };
        lines.push(format!(
            "{}: {} rows, {verdict}; checkpoint {head}",
            one.service, one.rows
        ));
        for finding in &one.findings {
            lines.push(format!("  row {}: {}", finding.seq, finding.what));
        }
    }
    lines.join("\n")
}
