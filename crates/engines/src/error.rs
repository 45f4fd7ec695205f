use std::path::{Path, PathBuf};

/// Why an engine could not be found, started or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No usable program on this machine and none could be installed.
    #[error("no {engine} could be found or installed; tried:\n{}", list(tried))]
    NotFound {
        /// `Postgres` or `Redis`.
        engine: &'static str,
        /// What was tried, in order, each with its outcome.
        tried: Vec<String>,
    },
    /// Another process runs engines in this directory.
    #[error("{} is in use by another process", dir.display())]
    DirInUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory holds a database of another major version than any Postgres found.
    #[error(
        "{} was made by Postgres {wanted}, but only {found} can be found; install Postgres {wanted} \
         or use another directory",
        dir.display()
    )]
    OtherVersion {
        /// The data directory.
        dir: PathBuf,
        /// Major version that made it.
        wanted: u32,
        /// The versions found, for people.
        found: String,
    },
    /// Postgres runs as another user than we do, who cannot get to the directory.
    #[error(
        "Postgres refuses to run as root and would run as user {uid} here, who cannot reach {} \
         because of the rights of {}; use a directory elsewhere or do not run this as root",
        dir.display(),
        barrier.display()
    )]
    Unreachable {
        /// The directory.
        dir: PathBuf,
        /// The directory above that lets only others pass.
        barrier: PathBuf,
        /// The user.
        uid: u32,
    },
    /// The engine ended while starting.
    #[error("{engine} did not start: {status}\n{log}")]
    StartFailed {
        /// `Postgres` or `Redis`.
        engine: &'static str,
        /// How it ended.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// The engine did not get ready in time; it has been killed.
    #[error("{engine} was not ready after {seconds} s\n{log}")]
    StartTimeout {
        /// `Postgres` or `Redis`.
        engine: &'static str,
        /// How long it was given.
        seconds: u64,
        /// The end of its log.
        log: String,
    },
    /// The engine is not running.
    #[error("{engine} is not running")]
    NotRunning {
        /// `Postgres` or `Redis`.
        engine: &'static str,
    },
    /// A helper program (initdb, psql, pip ..) failed.
    #[error("{program} failed: {message}")]
    Program {
        /// The program.
        program: String,
        /// What it said, or why it could not be run.
        message: String,
    },
    /// The name cannot be used for a database.
    #[error("{0:?} is no database name: 1 to 63 of a-z, 0-9 and _, not starting with a digit")]
    DatabaseName(String),
    /// The file system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
}

fn list(tried: &[String]) -> String {
    tried
        .iter()
        .map(|line| format!("  - {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Adds what was being done to an I/O error.
pub(crate) trait Context<T> {
    fn doing(self, what: &str, path: &Path) -> Result<T, Error>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn doing(self, what: &str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            what: format!("{what} {}", path.display()),
            source,
        })
    }
}
