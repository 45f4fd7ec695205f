//! Directories for engines that live as long as one test run: in memory where there is room.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::statvfs::statvfs;

use crate::error::{Context, Error};
use crate::process::{self, DirId};
use crate::supervise::Claim;

const MEMORY: &str = "/dev/shm";
const PREFIX: &str = "oms-engines-";
/// A run with many databases at once stays well below this.
const ROOM_BYTES: u64 = 2 << 30;
/// A directory this young may be between being made and being claimed.
const SETTLED: Duration = Duration::from_mins(1);

/// Makes an empty directory, in memory if at least 2 GiB are free there, and removes those that
/// dead runs left behind.
pub fn create() -> Result<PathBuf, Error> {
    let memory = Path::new(MEMORY);
    let base = if has_room(memory) {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    sweep(&base);
    let dir = base.join(format!("{PREFIX}{:016x}", process::random()));
    fs::create_dir_all(&dir).doing("create", &dir)?;
    Ok(dir)
}

fn has_room(dir: &Path) -> bool {
    statvfs(dir).is_ok_and(|space| {
        space
            .blocks_available()
            .saturating_mul(space.fragment_size())
            >= ROOM_BYTES
    })
}

fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_settled(&entry.path()) {
            remove_if_abandoned(&entry.path());
        }
    }
}

fn is_settled(dir: &Path) -> bool {
    let age = fs::metadata(dir)
        .and_then(|meta| meta.modified())
        .map(|time| time.elapsed());
    matches!(age, Ok(Ok(age)) if age > SETTLED)
}

/// The owner holds the claim as long as it lives.
fn remove_if_abandoned(dir: &Path) {
    let Ok(_claim) = Claim::take(dir) else { return };
    for data in ["postgres/data", "redis"] {
        let Ok(data) = DirId::of(&dir.join(data)) else {
            continue;
        };
        let left = process::engines_in(data, Path::new(""));
        process::signal(&left, Signal::SIGKILL);
    }
    let _others_files = fs::remove_dir_all(dir);
}
