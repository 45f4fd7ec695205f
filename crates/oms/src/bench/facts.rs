//! The machine and the engines, so that figures can be understood later.

use std::fs;

use anyhow::Context;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::store::{self, Settings};

/// What figures depend on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Facts {
    /// Version of this program.
    version: &'static str,
    /// `release` or `debug`; the figures of a debug build mean nothing.
    build: &'static str,
    /// Cores this process may use.
    cores: usize,
    /// Model of the processor; empty when the system does not tell.
    processor: String,
    /// Memory of the machine in MiB; 0 when the system does not tell.
    memory_mib: u64,
    /// Average number of processes that wanted to run in the minute before.
    load_before: f64,
    /// Version of Redis or Valkey.
    redis: String,
    /// Version of Postgres, and whether its commits are durable.
    postgres: Settings,
}

/// Resident memory of a process in MiB; `None` where the system does not tell.
pub(crate) fn resident_mib(pid: u32) -> Option<f64> {
    resident_of(&read(&format!("/proc/{pid}/status")))
}

fn resident_of(status: &str) -> Option<f64> {
    let kibibytes = value_of("VmRSS", status)?;
    let kibibytes: f64 = kibibytes.strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes / 1024.0)
}

/// Looks around.
pub(crate) async fn collect(postgres_url: &str, redis_url: &str) -> anyhow::Result<Facts> {
    let load = read("/proc/loadavg");
    Ok(Facts {
        version: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
        cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        processor: value_of("model name", &read("/proc/cpuinfo")).unwrap_or_default(),
        memory_mib: value_of("MemTotal", &read("/proc/meminfo"))
            .and_then(|text| mebibytes(&text))
            .unwrap_or_default(),
        load_before: load
            .split(' ')
            .next()
            .and_then(|load| load.parse().ok())
            .unwrap_or_default(),
        redis: redis_version(redis_url).await?,
        postgres: store::settings(postgres_url).await?,
    })
}

impl Facts {
    /// In one line, for people.
    pub(crate) fn sentence(&self) -> String {
        let Settings {
            version,
            fsync,
            synchronous_commit,
        } = &self.postgres;
        format!(
            "{} cores, {} MiB, load before {:.2}; Postgres {version} (fsync {fsync}, synchronous_commit \
             {synchronous_commit}), Redis {}; {} build",
            self.cores, self.memory_mib, self.load_before, self.redis, self.build
        )
    }

    /// What makes these figures worthless.
    pub(crate) fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if !self.postgres.is_durable() {
            warnings.push("commits are not durable here: these figures mean nothing");
        }
        if self.build == "debug" {
            warnings.push("this is a debug build: these figures mean nothing");
        }
        warnings
    }
}

fn read(path: &str) -> String {
    // Absent where there is no /proc; then the fact is left out.
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of `name : value`.
fn value_of(name: &str, text: &str) -> Option<String> {
    let value = |line: &str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    };
    text.lines().find_map(value)
}

/// `24576 kB` -> 24.
fn mebibytes(text: &str) -> Option<u64> {
    let kibibytes: u64 = text.strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes / 1024)
}

/// Asks a server on loopback that trusts everybody, as the private ones do.
async fn redis_version(url: &str) -> anyhow::Result<String> {
    let address = url
        .trim_start_matches("redis://")
        .split('/')
        .next()
        .unwrap_or_default();
    let failed = || format!("cannot ask Redis at {address} for its version");
    let mut stream = TcpStream::connect(address).await.with_context(failed)?;
    stream
        .write_all(b"INFO server\r\nQUIT\r\n")
        .await
        .with_context(failed)?;
    let mut said = String::new();
    stream
        .read_to_string(&mut said)
        .await
        .with_context(failed)?;
    Ok(version_of(&said))
}

/// Valkey tells the version of the Redis it stands in for, and its own.
fn version_of(info: &str) -> String {
    match value_of("valkey_version", info) {
        Some(version) => format!("(Valkey {version})"),
        None => value_of("redis_version", info).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_system_says() {
        let text = "MemTotal:       24576 kB\nMemFree:          1024 kB\n";
        assert_eq!(
            value_of("MemTotal", text).and_then(|text| mebibytes(&text)),
            Some(24)
        );
        assert_eq!(value_of("SwapTotal", text), None);
        let resident = resident_of("VmPeak:\t    9000 kB\nVmRSS:\t    2048 kB\n").unwrap();
        assert!((resident - 2.0).abs() < 1e-9);
    }

    #[test]
    fn tells_redis_from_valkey() {
        assert_eq!(
            version_of("$99\r\n# Server\r\nredis_version:7.0.15\r\n"),
            "7.0.15"
        );
        let valkey = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\n";
        assert_eq!(version_of(valkey), "(Valkey 8.1.1)");
    }
}
