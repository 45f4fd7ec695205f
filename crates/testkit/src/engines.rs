//! The engines that tests run on.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use oms_engines::{
    Engines, EnginesConfig, Postgres, PostgresOptions, Redis, RedisOptions, Role, scratch,
};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

/// Where addresses are taken from; the setup script of nextest sets both.
const POSTGRES_VAR: &str = "OMS_TEST_POSTGRES_URL";
const REDIS_VAR: &str = "OMS_TEST_REDIS_URL";

/// Never dropped: the watchdogs of the engines stop them when this process ends.
static OF_THIS_PROCESS: OnceCell<Engines> = OnceCell::const_new();

/// The Postgres of this test run, as superuser: `OMS_TEST_POSTGRES_URL`, else one that this process
/// starts at the first call. Nothing on it survives a crash. Databases come from [`crate::TestDb`].
pub async fn postgres_url() -> String {
    match std::env::var(POSTGRES_VAR) {
        Ok(url) => url,
        Err(_) => engines().await.postgres_url(),
    }
}

/// The Redis of this test run: `OMS_TEST_REDIS_URL`, else one that this process starts at the
/// first call. Shared by all tests: use a [`crate::RedisPrefix`], and never FLUSHALL.
pub async fn redis_url() -> String {
    match std::env::var(REDIS_VAR) {
        Ok(url) => url,
        Err(_) => engines().await.redis_url(),
    }
}

async fn engines() -> &'static Engines {
    let start = || async {
        spawn_blocking(|| {
            let dir = scratch::create().expect("a directory for the engines");
            let mut config = EnginesConfig::throwaway(dir, cache());
            config.postgres_url = std::env::var(POSTGRES_VAR).ok();
            config.redis_url = std::env::var(REDIS_VAR).ok();
            Engines::start(&config).unwrap_or_else(|failure| panic!("{failure}"))
        })
        .await
        .expect("starting the engines does not panic")
    };
    OF_THIS_PROCESS.get_or_init(start).await
}

/// Downloaded programs are kept in the workspace, for all runs.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.oms/engines")
}

/// A Postgres of one test alone; derefs to [`Postgres`]. Stopped and removed when dropped.
pub struct PrivatePostgres {
    engine: Option<Postgres>,
    dir: PathBuf,
}

/// A Redis of one test alone; derefs to [`Redis`]. Stopped and removed when dropped.
pub struct PrivateRedis {
    engine: Option<Redis>,
    dir: PathBuf,
}

/// Starts a Postgres that one test may kill, pause and restart. `durable` turns fsync on: for tests
/// of what survives a crash of Postgres itself, `false` is enough.
pub async fn private_postgres(durable: bool) -> PrivatePostgres {
    let start = move || {
        let dir = scratch::create().expect("a directory for Postgres");
        let options = PostgresOptions {
            durable,
            ..PostgresOptions::new(cache())
        };
        let engine = Postgres::start(&dir, &options);
        let engine = Some(engine.unwrap_or_else(|failure| panic!("{failure}")));
        PrivatePostgres { engine, dir }
    };
    spawn_blocking(start)
        .await
        .expect("starting Postgres does not panic")
}

/// Starts a Redis that one test may kill, pause, restart and empty.
pub async fn private_redis() -> PrivateRedis {
    private_redis_as(Role::Server, Vec::new()).await
}

/// As [`private_redis`], in this role and with these lines in its configuration: a replica, a
/// Sentinel or a node of a Cluster.
pub async fn private_redis_as(role: Role, settings: Vec<String>) -> PrivateRedis {
    let start = move || {
        let dir = scratch::create().expect("a directory for Redis");
        let options = RedisOptions {
            role,
            settings,
            ..RedisOptions::new(cache())
        };
        let engine = Redis::start(&dir, &options);
        let engine = Some(engine.unwrap_or_else(|failure| panic!("{failure}")));
        PrivateRedis { engine, dir }
    };
    spawn_blocking(start)
        .await
        .expect("starting Redis does not panic")
}

impl Deref for PrivatePostgres {
    type Target = Postgres;

    fn deref(&self) -> &Postgres {
        self.engine.as_ref().expect("there until dropped")
    }
}

impl Deref for PrivateRedis {
    type Target = Redis;

    fn deref(&self) -> &Redis {
        self.engine.as_ref().expect("there until dropped")
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.engine.take();
        let _already_gone = fs::remove_dir_all(&self.dir);
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        self.engine.take();
        let _already_gone = fs::remove_dir_all(&self.dir);
    }
}
