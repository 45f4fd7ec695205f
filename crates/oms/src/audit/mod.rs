//! `oms audit`: the audit logs of the five databases, checked and written out.

mod chain;
mod command;
mod line;
mod store;

use std::io::{BufRead, Write};

use chain::Chains;
pub use chain::{Checkpoint, Finding, Report, ServiceReport};
pub(crate) use command::{Audit, command};
use line::Line;

use crate::verify::{Database, Databases};

/// Computes the chains of all databases again.
///
/// # Errors
/// When a database cannot be read.
pub async fn verify(databases: &Databases, checkpoints: &[Checkpoint]) -> anyhow::Result<Report> {
    let mut chains = Chains::new(checkpoints);
    for database in Database::ALL {
        store::each_line(databases, database, |line| {
            chains.take(line);
            Ok(())
        })
        .await?;
    }
    Ok(chains.end())
}

/// Computes the chains of an exported file again.
///
/// # Errors
/// When the file cannot be read, or is no export.
pub fn verify_export(file: impl BufRead, checkpoints: &[Checkpoint]) -> anyhow::Result<Report> {
    let mut chains = Chains::new(checkpoints);
    for (number, line) in file.lines().enumerate() {
        let line = line?;
        let read = serde_json::from_str::<Line>(&line);
        let line = read.map_err(|error| anyhow::anyhow!("line {}: {error}", number + 1))?;
        chains.take(&line);
    }
    Ok(chains.end())
}

/// Writes the logs of all databases, a JSON object per line: for each a `head`, then its rows; answers how many rows.
///
/// # Errors
/// When a database cannot be read or the file not be written.
pub async fn export(databases: &Databases, mut file: impl Write) -> anyhow::Result<u64> {
    let mut rows = 0;
    for database in Database::ALL {
        store::each_line(databases, database, |line| {
            serde_json::to_writer(&mut file, line)?;
            file.write_all(b"\n")?;
            rows += u64::from(matches!(line, Line::Row(_)));
            Ok(())
        })
        .await?;
    }
    file.flush()?;
    Ok(rows)
}
