//! Postgres and Redis together, as `oms up` and test runs use them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use crate::supervise::Claim;
use crate::{
    Error, Postgres, PostgresOptions, Progress, Redis, RedisOptions, find, postgres, quiet,
};

/// What to run and where.
#[derive(Clone)]
pub struct EnginesConfig {
    /// Directory of the private engines: data, settings, logs.
    pub dir: PathBuf,
    /// Where downloaded programs are kept; a directory that outlives `dir` if `dir` is ephemeral.
    pub cache: PathBuf,
    /// Remove `dir` when the engines stop.
    pub ephemeral: bool,
    /// Postgres survives a power cut. `false` only for databases made for a test.
    pub durable: bool,
    /// Connections the private Postgres accepts.
    pub max_connections: u16,
    /// Use this Postgres and start none: the address of a database on it.
    pub postgres_url: Option<String>,
    /// Use this Redis and start none.
    pub redis_url: Option<String>,
    /// Install engines that are missing.
    pub install: bool,
    /// Told what happens, in words for people.
    pub progress: Progress,
}

impl EnginesConfig {
    /// Durable private engines in `dir`, downloads in `dir/engines`, up to 200 connections.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self {
            cache: dir.join("engines"),
            dir,
            ephemeral: false,
            durable: true,
            max_connections: 200,
            postgres_url: None,
            redis_url: None,
            install: true,
            progress: quiet(),
        }
    }

    /// Engines for one test run: nothing is synced to disk and `dir` is removed at the end.
    pub fn throwaway(dir: impl Into<PathBuf>, cache: impl Into<PathBuf>) -> Self {
        Self {
            ephemeral: true,
            durable: false,
            cache: cache.into(),
            ..Self::new(dir)
        }
    }
}

/// A Postgres and a Redis, private or given. Dropping it stops the private ones.
pub struct Engines {
    postgres: Engine<Postgres>,
    redis: Engine<Redis>,
    config: EnginesConfig,
    _claim: Claim,
}

enum Engine<E> {
    Private(E),
    Given(String),
}

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engines")
            .field("dir", &self.config.dir)
            .finish_non_exhaustive()
    }
}

impl Engines {
    /// Starts what is not given; both at the same time.
    pub fn start(config: &EnginesConfig) -> Result<Self, Error> {
        let claim = Claim::take(&config.dir)?;
        let (postgres, redis) = thread::scope(|scope| {
            let redis = scope.spawn(|| start_redis(config));
            let postgres = start_postgres(config);
            let redis = redis
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (postgres, redis)
        });
        Ok(Self {
            postgres: postgres?,
            redis: redis?,
            config: config.clone(),
            _claim: claim,
        })
    }

    /// Address of the maintenance database (or of the one given).
    pub fn postgres_url(&self) -> String {
        match &self.postgres {
            Engine::Private(postgres) => postgres.url(),
            Engine::Given(url) => url.clone(),
        }
    }

    /// Address of a database on the same server; it need not exist.
    pub fn database_url(&self, name: &str) -> String {
        match &self.postgres {
            Engine::Private(postgres) => postgres.database_url(name),
            Engine::Given(url) => with_database(url, name),
        }
    }

    /// Creates a database unless it is there, and returns its address. On a Postgres that was
    /// given, this needs `psql` on this machine and the right to create databases.
    pub fn create_database(&self, name: &str) -> Result<String, Error> {
        match &self.postgres {
            Engine::Private(postgres) => postgres.create_database(name),
            Engine::Given(url) => {
                let psql = self.postgres_program("psql");
                let psql = psql.ok_or_else(|| Error::Program {
                    program: "psql".to_owned(),
                    message: format!("not on this machine; create the database {name} yourself"),
                })?;
                postgres::create_database(&psql, url, name)?;
                Ok(with_database(url, name))
            }
        }
    }

    /// A program that comes with Postgres, such as `pgbench`: the one of the private server, else any on this
    /// machine. `None` when there is none; packages differ in what they bring.
    pub fn postgres_program(&self, name: &str) -> Option<PathBuf> {
        if let Some(postgres) = self.postgres() {
            return Some(postgres.bin_dir().join(name)).filter(|path| path.is_file());
        }
        find::program(name).or_else(|| {
            let homes = find::postgres_homes(&self.config.cache).into_iter();
            homes
                .map(|home| home.bin.join(name))
                .find(|path| path.is_file())
        })
    }

    /// Address of Redis.
    pub fn redis_url(&self) -> String {
        match &self.redis {
            Engine::Private(redis) => redis.url(),
            Engine::Given(url) => url.clone(),
        }
    }

    /// The private Postgres, `None` if one was given.
    pub fn postgres(&self) -> Option<&Postgres> {
        match &self.postgres {
            Engine::Private(postgres) => Some(postgres),
            Engine::Given(_) => None,
        }
    }

    /// The private Redis, `None` if one was given.
    pub fn redis(&self) -> Option<&Redis> {
        match &self.redis {
            Engine::Private(redis) => Some(redis),
            Engine::Given(_) => None,
        }
    }

    /// The directory of the private engines.
    pub fn dir(&self) -> &Path {
        &self.config.dir
    }

    /// Stops the private engines in order. Dropping this value does the same.
    pub fn stop(&self) {
        thread::scope(|scope| {
            if let Some(redis) = self.redis() {
                scope.spawn(|| redis.stop());
            }
            if let Some(postgres) = self.postgres() {
                postgres.stop();
            }
        });
        if self.config.ephemeral {
            let _already_gone = fs::remove_dir_all(&self.config.dir);
        }
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        self.stop();
    }
}

fn start_postgres(config: &EnginesConfig) -> Result<Engine<Postgres>, Error> {
    if let Some(url) = &config.postgres_url {
        return Ok(Engine::Given(url.clone()));
    }
    let options = PostgresOptions {
        durable: config.durable,
        ephemeral: config.ephemeral,
        max_connections: config.max_connections,
        install: config.install,
        progress: config.progress.clone(),
        ..PostgresOptions::new(&config.cache)
    };
    let began = Instant::now();
    let postgres = Postgres::start(&config.dir.join("postgres"), &options)?;
    let seconds = began.elapsed().as_secs_f32();
    (config.progress)(&format!(
        "Postgres {} ready in {seconds:.1} s",
        postgres.major_version()
    ));
    Ok(Engine::Private(postgres))
}

fn start_redis(config: &EnginesConfig) -> Result<Engine<Redis>, Error> {
    if let Some(url) = &config.redis_url {
        return Ok(Engine::Given(url.clone()));
    }
    let options = RedisOptions {
        ephemeral: config.ephemeral,
        install: config.install,
        progress: config.progress.clone(),
        ..RedisOptions::new(&config.cache)
    };
    let began = Instant::now();
    let redis = Redis::start(&config.dir.join("redis"), &options)?;
    (config.progress)(&format!(
        "Redis ready in {:.1} s",
        began.elapsed().as_secs_f32()
    ));
    Ok(Engine::Private(redis))
}

/// Replaces the database in a Postgres address and keeps user, host and parameters.
fn with_database(url: &str, name: &str) -> String {
    let (address, parameters) = match url.split_once('?') {
        Some((address, parameters)) => (address, format!("?{parameters}")),
        None => (url, String::new()),
    };
    let (scheme, rest) = address.split_once("://").unwrap_or(("postgres", address));
    let server = rest.split('/').next().unwrap_or_default();
    format!("{scheme}://{server}/{name}{parameters}")
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn replaces_only_the_database() {
        assert_eq!(
            with_database("postgres://u:p@h:1/old?sslmode=require", "new"),
            "postgres://u:p@h:1/new?sslmode=require"
        );
        assert_eq!(with_database("postgres://h", "new"), "postgres://h/new");
        assert_eq!(
            with_database("postgres://h?user=/x", "new"),
            "postgres://h/new?user=/x"
        );
    }
}
