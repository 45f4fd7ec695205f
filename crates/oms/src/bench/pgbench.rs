//! Runs scripts of `bench/` against Postgres with pgbench.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use oms_engines::Engines;
use tokio::process::Command;

use super::figures::{Figures, Latencies};

/// A pgbench, the database it works on, and the variables that all scripts share.
#[derive(Debug)]
pub(crate) struct Pgbench {
    program: PathBuf,
    database_url: String,
    /// Where scripts and logs are written.
    dir: PathBuf,
    variables: Vec<(&'static str, String)>,
}

/// A script with what is special to one use of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script<'a> {
    /// Name of the file in `bench/`.
    pub(crate) name: &'static str,
    /// Its text.
    pub(crate) text: &'a str,
    /// Variables of its own.
    pub(crate) variables: &'a [(&'static str, String)],
}

/// How long pgbench runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    /// So many seconds.
    Seconds(u32),
    /// So many transactions of each client.
    Transactions(u32),
}

impl Pgbench {
    /// The pgbench that belongs to the engines.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn of(engines: &Engines, database_url: String) -> anyhow::Result<Self> {
        let program = engines.postgres_program("pgbench").context(
            "no pgbench beside this Postgres, and without it there is nothing to compare with: install the package that \
             brings it (Debian: postgresql, Fedora: postgresql-contrib), or set OMS_POSTGRES_BIN to \
             a directory with postgres, initdb, psql and pgbench",
        )?;
        Ok(Self {
            program,
            database_url,
            dir: engines.dir().join("pgbench"),
            variables: Vec::new(),
        })
    }

    /// Gives all scripts a variable.
    pub(crate) fn set(&mut self, name: &'static str, value: &impl ToString) {
        self.variables.push((name, value.to_string()));
    }

    /// Runs a script with so many clients that wait for nothing but their own answers. Statements are prepared, as those
    /// of the services are.
    ///
    /// # Errors
    /// When pgbench cannot be run, or a transaction failed.
    pub(crate) async fn run(
        &self,
        script: Script<'_>,
        clients: u32,
        length: Length,
    ) -> anyhow::Result<Figures> {
        tokio::fs::create_dir_all(&self.dir)
            .await
            .context("directory of pgbench")?;
        let file = self.dir.join(script.name);
        tokio::fs::write(&file, script.text)
            .await
            .context("script of pgbench")?;
        let prefix = self.dir.join("latencies");
        let said = self
            .execute(&file, script, &prefix, clients, length)
            .await?;
        let latencies = take_latencies(&self.dir, &prefix).await?;
        let per_second = transactions_per_second(&said)
            .with_context(|| format!("pgbench told no speed of {}:\n{said}", script.name))?;
        let figures = Figures::of(&latencies, Duration::from_secs(1));
        Ok(Figures {
            per_second,
            ..figures
        })
    }

    async fn execute(
        &self,
        file: &Path,
        script: Script<'_>,
        prefix: &Path,
        clients: u32,
        length: Length,
    ) -> anyhow::Result<String> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = u32::try_from(threads).unwrap_or(1).min(clients);
        let mut command = Command::new(&self.program);
        command
            .arg("--no-vacuum")
            .arg("--protocol=prepared")
            .arg("--log");
        command.arg(format!("--log-prefix={}", prefix.display()));
        command.arg(format!("--file={}", file.display()));
        command
            .arg(format!("--client={clients}"))
            .arg(format!("--jobs={threads}"));
        match length {
            Length::Seconds(seconds) => command.arg(format!("--time={seconds}")),
            Length::Transactions(count) => command.arg(format!("--transactions={count}")),
        };
        for (name, value) in self.variables.iter().chain(script.variables) {
            command.arg(format!("--define={name}={value}"));
        }
        command.arg(&self.database_url);
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("PG") {
                command.env_remove(variable);
            }
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.context("cannot run pgbench")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!(
                "pgbench failed on {}: {}\n{error}{said}",
                script.name,
                output.status
            );
        }
        Ok(said)
    }
}

/// `tps = 1234.5 (without initial connection time)`
fn transactions_per_second(said: &str) -> Option<f64> {
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Reads the logs, one per thread, and removes them.
async fn take_latencies(dir: &Path, prefix: &Path) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::new()?;
    let name = prefix
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut files = tokio::fs::read_dir(dir).await.context("logs of pgbench")?;
    while let Some(file) = files.next_entry().await? {
        if !file
            .file_name()
            .to_string_lossy()
            .starts_with(&format!("{name}."))
        {
            continue;
        }
        let log = tokio::fs::read_to_string(file.path())
            .await
            .context("log of pgbench")?;
        read_log(&log, &mut latencies)?;
        tokio::fs::remove_file(file.path()).await?;
    }
    Ok(latencies)
}

/// A line per transaction: client, number, microseconds, and more.
fn read_log(log: &str, latencies: &mut Latencies) -> anyhow::Result<()> {
    for line in log.lines() {
        let micros = line
            .split_whitespace()
            .nth(2)
            .and_then(|field| field.parse().ok());
        latencies.record_us(micros.with_context(|| format!("pgbench logged {line:?}"))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_pgbench_says() {
        let said = "pgbench (15.14)\nlatency average = 0.4 ms\ntps = 2613.3 (without initial connection time)\n";
        assert_eq!(transactions_per_second(said), Some(2613.3));
        assert_eq!(transactions_per_second("pgbench: error"), None);
    }

    #[test]
    fn reads_latencies_and_refuses_what_failed() {
        let mut latencies = Latencies::new().unwrap();
        read_log(
            "0 1 2000 0 1700000000 1\n1 1 4000 0 1700000000 2\n",
            &mut latencies,
        )
        .unwrap();
        let figures = Figures::of(&latencies, Duration::from_secs(1));
        assert_eq!((figures.per_second, figures.p50_ms.round()), (2.0, 2.0));
        let refused = read_log("0 1 failed 0 1700000000 1\n", &mut latencies).unwrap_err();
        assert!(refused.to_string().contains("failed"), "{refused}");
    }
}
