//! Processes of this machine, ports, and programs run to their end.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Context, Error};
use crate::find;

/// Ports tried for engines: below the range from which Linux takes the ports of outgoing
/// connections, so that nobody gets an engine's port by chance while it restarts.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const PORT_ATTEMPTS: usize = 200;

/// A port of the loopback address that is free now.
pub(crate) fn free_port() -> Result<u16, Error> {
    let span = u64::from(PORTS.end - PORTS.start);
    for _ in 0..PORT_ATTEMPTS {
        let offset = u16::try_from(random() % span).unwrap_or_default();
        let port = PORTS.start + offset;
        if is_free(port) {
            return Ok(port);
        }
    }
    let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    any.and_then(|socket| socket.local_addr())
        .map(|address| address.port())
        .doing("find a free port on", Path::new("127.0.0.1"))
}

/// Whether nobody listens on this port of the loopback address.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A number nobody else has; for names and ports, not for secrets.
pub(crate) fn random() -> u64 {
    // The standard library seeds every hasher from the system's randomness.
    RandomState::new().hash_one(std::process::id())
}

/// Whether a process with this id exists and has not ended.
pub fn is_alive(pid: u32) -> bool {
    let Ok(raw) = i32::try_from(pid) else {
        return false;
    };
    if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
        // `pid (name) state ..`; the name may contain anything, so look behind its last bracket.
        let state = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next());
        return !matches!(state, Some('Z' | 'X'));
    }
    kill(Pid::from_raw(raw), None).is_ok()
}

/// A directory, whatever its name is by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirId {
    device: u64,
    inode: u64,
}

impl DirId {
    /// The directory behind this path.
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        fs::metadata(path).map(|meta| Self {
            device: meta.dev(),
            inode: meta.ino(),
        })
    }
}

/// The engine processes that work in `data`. Engines make their data directory their working
/// directory, so this finds them, their children and what an earlier crash left behind, and never
/// a process that got an old id by chance. Without /proc only the process in `pid_file` is found.
pub(crate) fn engines_in(data: DirId, pid_file: &Path) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return pid_in(pid_file)
            .filter(|pid| kill(*pid, None).is_ok())
            .into_iter()
            .collect();
    };
    let mut found = Vec::new();
    for process in processes.flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        if !DirId::of(&process.path().join("cwd")).is_ok_and(|cwd| cwd == data) {
            continue;
        }
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        if find::is_engine_name(name.trim()) {
            found.push(Pid::from_raw(pid));
        }
    }
    found
}

/// The processes that were started with this argument. None without /proc.
pub(crate) fn with_argument(argument: &OsStr) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let started_with = |process: &fs::DirEntry| {
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        arguments
            .split(|byte| *byte == 0)
            .any(|one| one == argument.as_bytes())
    };
    let processes = processes.flatten().filter(started_with);
    processes
        .filter_map(|process| process.file_name().to_string_lossy().parse().ok())
        .map(Pid::from_raw)
        .collect()
}

/// The process id on the first line of a pid file.
pub(crate) fn pid_in(file: &Path) -> Option<Pid> {
    fs::read_to_string(file)
        .ok()?
        .lines()
        .next()?
        .trim()
        .parse()
        .ok()
        .map(Pid::from_raw)
}

/// Sends a signal; a process that is gone already is no error.
pub(crate) fn signal(pids: &[Pid], signal: Signal) {
    for pid in pids {
        let _already_gone = kill(*pid, signal);
    }
}

/// Runs a program to its end and returns what it printed.
pub(crate) fn run(argv: &[OsString], input: Option<&str>) -> Result<String, Error> {
    let name = || {
        argv.first()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let failed = |message: String| Error::Program {
        program: name(),
        message,
    };
    let mut command = command(argv);
    command.stdin(if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|cause| failed(cause.to_string()))?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program that ends without reading tells why on standard error.
        let _unread = std::io::Write::write_all(&mut stdin, text.as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(|cause| failed(cause.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(failed(format!("{}\n{said}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command without the settings that Postgres' programs would take from the environment.
pub(crate) fn command(argv: &[OsString]) -> Command {
    let mut words = argv.iter();
    let mut command = Command::new(words.next().map_or(OsStr::new(""), OsString::as_os_str));
    command.args(words);
    for (variable, _) in std::env::vars_os() {
        if find::is_postgres_variable(&variable) {
            command.env_remove(variable);
        }
    }
    command.env("PGCONNECT_TIMEOUT", "10");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_process_is_not_alive() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        assert!(is_alive(std::process::id()));
        child.wait().unwrap();
        assert!(!is_alive(pid));
    }

    #[test]
    fn a_failing_program_says_why() {
        let argv = ["sh", "-c", "echo broken >&2; exit 3"].map(OsString::from);
        let message = run(&argv, None).unwrap_err().to_string();
        assert!(
            message.contains("broken") && message.contains('3'),
            "{message}"
        );
    }
}
