//! One engine as a child process. It can be killed, paused and restarted, stops when its handle is
//! dropped, and cannot outlive the process that started it: a watchdog shell waits on a pipe that
//! the system closes when the owner dies, even by `kill -9`. (The kernel's parent-death signal
//! would follow the thread that started the engine, not the process.)

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::error::{Context, Error};
use crate::process::{self, DirId};

const WATCHDOG: &str = include_str!("watchdog.sh");
const WATCHDOG_FILE: &str = "watchdog.sh";
/// Longer than a watchdog gives any engine to stop.
const WATCHDOG_PATIENCE: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(10);
/// How long an engine of an earlier run, whose watchdog may be stopping it, is left alone.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for crash recovery of a big database on a slow disk.
const START_PATIENCE: Duration = Duration::from_mins(2);
const LOG_TAIL_BYTES: u64 = 3_000;

/// What to run and how to tell that it works.
pub(crate) struct Launch {
    /// `Postgres` or `Redis`, for messages.
    pub(crate) engine: &'static str,
    /// Program and arguments.
    pub(crate) argv: Vec<OsString>,
    /// Working directory of the engine.
    pub(crate) data: PathBuf,
    /// Where the engine writes its process id.
    pub(crate) pid_file: PathBuf,
    /// Where its output goes.
    pub(crate) log: PathBuf,
    /// Port on the loopback address.
    pub(crate) port: u16,
    /// Whether the engine with this process id serves; called until it says yes.
    pub(crate) ready: fn(&Launch, u32) -> bool,
    /// The signal that makes it stop and clean up.
    pub(crate) gentle: Signal,
    /// How long that may take before it is killed.
    pub(crate) stop_patience: Duration,
    /// Directory to remove once it has stopped for good.
    pub(crate) remove: Option<PathBuf>,
}

/// An engine that is, or was, running.
pub(crate) struct Supervised {
    launch: Launch,
    /// Its processes are known by their working directory, also when that has been removed.
    data: DirId,
    running: Mutex<Option<Running>>,
    /// Keeps other processes out of the directory while this value lives.
    _claim: Claim,
}

struct Running {
    child: Child,
    watchdog: Watchdog,
}

impl Supervised {
    /// Starts the engine and waits until it serves.
    pub(crate) fn start(launch: Launch, claim: Claim) -> Result<Self, Error> {
        let data = DirId::of(&launch.data).doing("find", &launch.data)?;
        let engine = Self {
            launch,
            data,
            running: Mutex::new(None),
            _claim: claim,
        };
        engine.start_again()?;
        Ok(engine)
    }

    pub(crate) fn port(&self) -> u16 {
        self.launch.port
    }

    pub(crate) fn log(&self) -> &Path {
        &self.launch.log
    }

    /// Process id of the engine's leader while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.running().as_ref().map(|running| running.child.id())
    }

    /// Kills what still runs and starts again on the same data and port.
    pub(crate) fn restart(&self) -> Result<(), Error> {
        self.kill();
        self.start_again()
    }

    /// Ends all its processes at once, as a crash would.
    pub(crate) fn kill(&self) {
        let mut running = self.running();
        if let Some(running) = running.take() {
            self.end(running, Duration::ZERO);
        }
    }

    /// Ends it by this signal, and by force when it does not obey.
    pub(crate) fn quit(&self, signal: Signal) {
        let mut running = self.running();
        if let Some(running) = running.take() {
            self.end_by(signal, running, self.launch.stop_patience);
        }
    }

    /// Stops all its processes where they are: connections stay open, nobody answers.
    pub(crate) fn pause(&self) -> Result<(), Error> {
        self.signal_all(Signal::SIGSTOP)
    }

    /// Lets paused processes go on.
    pub(crate) fn resume(&self) -> Result<(), Error> {
        self.signal_all(Signal::SIGCONT)
    }

    /// Stops it in order and removes its directory if it was started so.
    pub(crate) fn stop(&self) {
        let mut running = self.running();
        if let Some(running) = running.take() {
            self.end(running, self.launch.stop_patience);
        }
        if let Some(dir) = &self.launch.remove {
            let _already_gone = fs::remove_dir_all(dir);
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn processes(&self) -> Vec<Pid> {
        process::engines_in(self.data, &self.launch.pid_file)
    }

    fn signal_all(&self, signal: Signal) -> Result<(), Error> {
        let running = self.running();
        if running.is_none() {
            return Err(Error::NotRunning {
                engine: self.launch.engine,
            });
        }
        // Twice, because a paused leader forks no more but may have forked during the first pass.
        for _ in 0..2 {
            process::signal(&self.processes(), signal);
        }
        Ok(())
    }

    fn start_again(&self) -> Result<(), Error> {
        let launch = &self.launch;
        self.clear_leftovers();
        // Nothing runs here, so the file is stale; its number may belong to a stranger by now.
        let _not_there = fs::remove_file(&launch.pid_file);
        let mut running = self.running();
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&launch.log);
        let log = log.doing("open", &launch.log)?;
        let errors = log.try_clone().doing("open", &launch.log)?;
        let watchdog = Watchdog::spawn(launch)?;
        let child = process::command(&launch.argv)
            .current_dir(&launch.data)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // Ctrl-C in the terminal is for the owner, who stops the engine when it is done.
            .process_group(0)
            .spawn()
            .doing("run", launch.argv.first().map_or(Path::new(""), Path::new))?;
        let started = running.insert(Running { child, watchdog });
        if let Err(failure) = wait_ready(launch, &mut started.child) {
            if let Some(running) = running.take() {
                self.end(running, Duration::ZERO);
            }
            return Err(failure);
        }
        Ok(())
    }

    /// Ends what an earlier owner left running in the directory. Its watchdog normally does that,
    /// but may have been killed too.
    fn clear_leftovers(&self) {
        let left = self.processes();
        if left.is_empty() {
            return;
        }
        let leader = process::pid_in(&self.launch.pid_file).filter(|pid| left.contains(pid));
        process::signal(&left, Signal::SIGCONT);
        process::signal(leader.as_slice(), self.launch.gentle);
        let deadline = Instant::now() + LEFTOVER_PATIENCE;
        while !self.processes().is_empty() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        self.kill_all();
    }

    /// Kills until nothing is left: a process may fork while its siblings die.
    fn kill_all(&self) {
        let deadline = Instant::now() + LEFTOVER_PATIENCE;
        loop {
            let left = self.processes();
            if left.is_empty() || Instant::now() > deadline {
                return;
            }
            process::signal(&left, Signal::SIGKILL);
            thread::sleep(POLL);
        }
    }

    fn end(&self, running: Running, patience: Duration) {
        self.end_by(self.launch.gentle, running, patience);
    }

    fn end_by(&self, signal: Signal, mut running: Running, patience: Duration) {
        if !patience.is_zero()
            && let Ok(pid) = i32::try_from(running.child.id())
        {
            process::signal(&self.processes(), Signal::SIGCONT);
            process::signal(&[Pid::from_raw(pid)], signal);
            let deadline = Instant::now() + patience;
            while matches!(running.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(POLL);
            }
        }
        let _already_gone = running.child.kill();
        let _reaped = running.child.wait();
        self.kill_all();
        running.watchdog.dismiss();
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.stop();
    }
}

fn wait_ready(launch: &Launch, child: &mut Child) -> Result<(), Error> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            let log = tail(&launch.log);
            return Err(Error::StartFailed {
                engine: launch.engine,
                status: status.to_string(),
                log,
            });
        }
        if (launch.ready)(launch, child.id()) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let seconds = START_PATIENCE.as_secs();
            return Err(Error::StartTimeout {
                engine: launch.engine,
                seconds,
                log: tail(&launch.log),
            });
        }
        thread::sleep(POLL);
    }
}

/// The end of a log, for messages.
fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|cause| format!("(no log: {cause})"));
    format!("{}:\n{}", log.display(), text.trim_end())
}

/// The shell that outlives the owner by as long as it takes to stop the engine.
struct Watchdog {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    fn spawn(launch: &Launch) -> Result<Self, Error> {
        let tenths = launch.stop_patience.as_millis() / 100;
        // A file rather than an argument, for a readable list of processes.
        let script = launch.log.with_file_name(WATCHDOG_FILE);
        fs::write(&script, WATCHDOG).doing("write", &script)?;
        let mut child = Command::new("sh")
            .arg(&script)
            .arg(&launch.pid_file)
            .arg(launch.gentle.as_str().trim_start_matches("SIG"))
            .arg(tenths.to_string())
            .arg(launch.remove.clone().unwrap_or_default())
            .current_dir(&launch.data)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What kills the owner's process group must not kill its watchdog.
            .process_group(0)
            .spawn()
            .doing("run", Path::new("sh"))?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Nothing is left to watch.
    fn dismiss(mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            let _it_died = pipe.write_all(b"done\n");
        }
        let _reaped = self.child.wait();
    }
}

/// The right to run engines in a directory. The system gives it back when the process dies.
pub(crate) struct Claim {
    _file: File,
}

impl Claim {
    /// Creates the directory and claims it for this value's life. What the watchdog of a dead
    /// owner still does there is done when this returns: it would take a new engine for the old.
    pub(crate) fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("lock");
        loop {
            fs::create_dir_all(dir).doing("create", dir)?;
            let open = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path);
            let file = open.doing("open", &path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(Error::DirInUse {
                        dir: dir.to_owned(),
                    });
                }
                Err(fs::TryLockError::Error(source)) => return Err(source).doing("lock", &path),
            }
            await_watchdog(dir)?;
            // The watchdog may have removed the directory with the file that was just locked.
            if is_still(&file, &path) {
                return Ok(Self { _file: file });
            }
        }
    }
}

fn is_still(file: &File, path: &Path) -> bool {
    let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
    let (open, there) = (
        file.metadata().map(identity),
        fs::metadata(path).map(identity),
    );
    matches!((open, there), (Ok(open), Ok(there)) if open == there)
}

/// Waits for the watchdog of an earlier owner; one that hangs is killed, its work is then ours.
fn await_watchdog(dir: &Path) -> Result<(), Error> {
    let script = fs::canonicalize(dir)
        .doing("find", dir)?
        .join(WATCHDOG_FILE);
    let deadline = Instant::now() + WATCHDOG_PATIENCE;
    loop {
        let watchdogs = process::with_argument(script.as_os_str());
        if watchdogs.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            process::signal(&watchdogs, Signal::SIGKILL);
        }
        thread::sleep(POLL);
    }
}
