//! A private Postgres.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::error::{Context, Error};
use crate::find::{self, PostgresHome};
use crate::install;
use crate::process;
use crate::supervise::{Claim, Launch, Supervised};
use crate::user::RunAs;
use crate::{Progress, quiet};

/// How to run Postgres.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Survives a power cut. `false` turns fsync off: only for databases made for a test.
    pub durable: bool,
    /// Remove the directory when it stops.
    pub ephemeral: bool,
    /// Connections it accepts.
    pub max_connections: u16,
    /// Port on the loopback address; `None` keeps the one of the last run if it is free.
    pub port: Option<u16>,
    /// Where downloaded programs are kept.
    pub cache: PathBuf,
    /// Install Postgres if there is none.
    pub install: bool,
    /// Told what happens.
    pub progress: Progress,
}

impl PostgresOptions {
    /// Durable, kept, up to 200 connections, installed when needed; downloads go to `cache`.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            durable: true,
            ephemeral: false,
            max_connections: 200,
            port: None,
            cache: cache.into(),
            install: true,
            progress: quiet(),
        }
    }

    /// For databases made for a test: no fsync, removed at the end.
    pub fn throwaway(cache: impl Into<PathBuf>) -> Self {
        Self {
            durable: false,
            ephemeral: true,
            ..Self::new(cache)
        }
    }
}

/// A running private Postgres; dropping it stops it.
///
/// It listens on the loopback address only and trusts everybody there.
pub struct Postgres {
    engine: Supervised,
    home: PostgresHome,
}

impl Postgres {
    /// Starts Postgres in `dir`, making a database cluster there if there is none. Works after any
    /// kind of crash; a directory that another process uses is refused.
    pub fn start(dir: &Path, options: &PostgresOptions) -> Result<Self, Error> {
        let claim = Claim::take(dir)?;
        let dir = fs::canonicalize(dir).doing("find", dir)?;
        let data = dir.join("data");
        let home = choose_home(&data, options)?;
        let run_as = RunAs::choose(&data)?;
        run_as.check_reach(&dir)?;
        run_as.check_reach(&home.bin)?;
        if !data.join("PG_VERSION").is_file() {
            (options.progress)("creating the database cluster");
            initialise(&dir, &data, &home, &run_as)?;
        }
        let port = options.port.map_or_else(|| remembered_port(&data), Ok)?;
        configure(&data, &run_as, port, options)?;
        let server = vec![
            home.bin.join("postgres").into(),
            "-D".into(),
            data.clone().into(),
        ];
        let launch = Launch {
            engine: "Postgres",
            argv: run_as.wrap(server),
            pid_file: data.join("postmaster.pid"),
            log: dir.join("postgres.log"),
            port,
            ready,
            // Throwaway data needs no checkpoint, only its shared memory cleaned up.
            gentle: if options.durable {
                Signal::SIGINT
            } else {
                Signal::SIGQUIT
            },
            stop_patience: Duration::from_secs(30),
            remove: options.ephemeral.then_some(dir),
            data,
        };
        Ok(Self {
            engine: Supervised::start(launch, claim)?,
            home,
        })
    }

    /// Address of the maintenance database, as superuser.
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// Address of a database, as superuser.
    pub fn database_url(&self, name: &str) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/{name}",
            self.engine.port()
        )
    }

    /// Creates the database unless it is there, and returns its address.
    pub fn create_database(&self, name: &str) -> Result<String, Error> {
        create_database(&self.home.bin.join("psql"), &self.url(), name)?;
        Ok(self.database_url(name))
    }

    /// Major version.
    pub fn major_version(&self) -> u32 {
        self.home.major
    }

    /// The directory of its programs (`psql`, `pg_dump` ..).
    pub fn bin_dir(&self) -> &Path {
        &self.home.bin
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        self.engine.log()
    }

    /// Process id of the postmaster, `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.engine.pid()
    }

    /// Ends all its processes at once, as a crash would. Restart it with [`Postgres::restart`].
    pub fn kill(&self) {
        self.engine.kill();
    }

    /// Ends it at once but by itself, as `pg_ctl stop -m immediate`: clients are told, nothing is written any more, and
    /// the next start recovers from the log. Restart it with [`Postgres::restart`].
    pub fn stop_immediately(&self) {
        self.engine.quit(Signal::SIGQUIT);
    }

    /// Stops all its processes where they are: connections stay open, nobody answers.
    pub fn pause(&self) -> Result<(), Error> {
        self.engine.pause()
    }

    /// Lets paused processes go on.
    pub fn resume(&self) -> Result<(), Error> {
        self.engine.resume()
    }

    /// Kills it unless it is dead already and starts it again with the same data and address.
    pub fn restart(&self) -> Result<(), Error> {
        self.engine.restart()
    }

    /// Stops it in order. Dropping the handle does the same.
    pub fn stop(&self) {
        self.engine.stop();
    }
}

/// Creates the database unless it is there.
pub(crate) fn create_database(psql: &Path, server_url: &str, name: &str) -> Result<(), Error> {
    let first_is_digit = name.starts_with(|first: char| first.is_ascii_digit());
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || name.len() > 63 || first_is_digit || !name.bytes().all(known) {
        return Err(Error::DatabaseName(name.to_owned()));
    }
    let argv: Vec<OsString> = vec![
        psql.into(),
        "--no-psqlrc".into(),
        "--quiet".into(),
        "--no-password".into(),
        "--set=ON_ERROR_STOP=1".into(),
        format!("--dbname={server_url}").into(),
    ];
    let create = format!(
        "SELECT 'CREATE DATABASE {name}' \
         WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') \\gexec\n"
    );
    process::run(&argv, Some(&create)).map(drop)
}

/// The installation to use: the preferred one, but for existing data one of the same version.
fn choose_home(data: &Path, options: &PostgresOptions) -> Result<PostgresHome, Error> {
    let wanted = find::data_version(data);
    let fits = |home: &PostgresHome| wanted.is_none_or(|major| major == home.major);
    let homes = find::postgres_homes(&options.cache);
    if let Some(home) = homes.iter().find(|home| fits(home)) {
        return Ok(home.clone());
    }
    let installed = install::postgres(&options.cache, options.install, &options.progress);
    match (wanted, installed) {
        (_, Ok(home)) if fits(&home) => Ok(home),
        (None, Err(failure)) => Err(failure),
        (wanted, installed) => {
            let found: Vec<_> = homes
                .into_iter()
                .chain(installed.ok())
                .map(|home| home.major.to_string())
                .collect();
            Err(Error::OtherVersion {
                dir: data.to_owned(),
                wanted: wanted.unwrap_or_default(),
                found: if found.is_empty() {
                    "none".to_owned()
                } else {
                    found.join(", ")
                },
            })
        }
    }
}

/// Makes a new cluster beside the place where it belongs and moves it there when it is complete,
/// so that an interrupted first start leaves no half cluster behind.
fn initialise(dir: &Path, data: &Path, home: &PostgresHome, run_as: &RunAs) -> Result<(), Error> {
    let fresh = dir.join("data.new");
    let initdb = |locale: &str| {
        let _not_there = fs::remove_dir_all(&fresh);
        fs::create_dir_all(&fresh).doing("create", &fresh)?;
        run_as.give(&fresh)?;
        let argv: Vec<OsString> = vec![
            home.bin.join("initdb").into(),
            format!("--pgdata={}", fresh.display()).into(),
            "--username=postgres".into(),
            "--auth=trust".into(),
            "--encoding=UTF8".into(),
            format!("--locale={locale}").into(),
            // Both order text by code points; C compares bytes without asking the system's library.
            "--lc-collate=C".into(),
            "--no-instructions".into(),
            "--no-sync".into(),
        ];
        process::run(&run_as.wrap(argv), None)
    };
    // C.UTF-8 knows upper and lower case of every script; not every system has it.
    initdb("C.UTF-8").or_else(|_| initdb("C"))?;
    fs::rename(&fresh, data).doing("create", data)
}

/// The port of the last run if it is free, so that addresses people noted keep working.
fn remembered_port(data: &Path) -> Result<u16, Error> {
    let settings = fs::read_to_string(data.join("postgresql.conf")).unwrap_or_default();
    let last = settings
        .lines()
        .find_map(|line| line.strip_prefix("port = ")?.parse().ok());
    match last {
        Some(port) if process::is_free(port) => Ok(port),
        _ => process::free_port(),
    }
}

fn configure(
    data: &Path,
    run_as: &RunAs,
    port: u16,
    options: &PostgresOptions,
) -> Result<(), Error> {
    let write = |name: &str, text: &str| {
        let path = data.join(name);
        fs::write(&path, text).doing("write", &path)?;
        run_as.give(&path)
    };
    write("postgresql.conf", &settings(port, options))?;
    write(
        "pg_hba.conf",
        "# Nobody can reach this server from outside.\nhost all all 127.0.0.1/32 trust\n",
    )
}

fn settings(port: u16, options: &PostgresOptions) -> String {
    let mut text = format!(
        "# Written at every start; put settings of your own into custom.conf.\n\
         listen_addresses = '127.0.0.1'\n\
         port = {port}\n\
         unix_socket_directories = ''\n\
         max_connections = {}\n\
         shared_buffers = '128MB'\n\
         timezone = 'UTC'\n\
         log_timezone = 'UTC'\n\
         lc_messages = 'C'\n\
         log_line_prefix = '%m [%p] %d '\n\
         jit = off  # compiling takes longer than the short statements of these services\n",
        options.max_connections
    );
    if !options.durable {
        text.push_str(
            "# Nothing here survives a crash of the machine: databases made for a test.\n\
             fsync = off\n\
             synchronous_commit = off\n\
             full_page_writes = off\n\
             dynamic_shared_memory_type = mmap  # in the directory, so that nothing of it stays\n\
             wal_level = minimal\n\
             max_wal_senders = 0\n\
             checkpoint_timeout = '1h'\n\
             log_checkpoints = off\n\
             autovacuum = off\n",
        );
    }
    let _infallible = writeln!(text, "include_if_exists = 'custom.conf'");
    text
}

/// As pg_ctl does it: the postmaster keeps its state on line 8 of its pid file.
fn ready(launch: &Launch, pid: u32) -> bool {
    let status = fs::read_to_string(&launch.pid_file).unwrap_or_default();
    let mut lines = status.lines();
    let its_own = lines.next().and_then(|line| line.trim().parse().ok()) == Some(pid);
    its_own && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}
