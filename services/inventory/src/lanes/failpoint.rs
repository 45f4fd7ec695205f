//! A place where the crash suite stops this process: its batch holds leases whose age was looked at, and BEGIN comes
//! next. What wakes up there after the leases have run out is what the fence in the lanes is for.
//!
//! Exists under `insecure_dev` only: the configuration refuses the key otherwise.

use nix::sys::signal::{Signal, raise};

use super::LanesConfig;
use super::lease::Grip;

/// Stops the whole process (SIGSTOP) if the batch holds a lease and the file is there. The file becomes `<file>.taken`,
/// so that it stops one process once, and then holds a line `<SKU> <token>` per lease.
pub(super) fn before_begin(config: &LanesConfig, grip: Option<&Grip>) {
    let Some(file) = &config.failpoint_before_begin else {
        return;
    };
    let Some(grip) = grip.filter(|grip| !grip.fencing.tokens.is_empty()) else {
        return;
    };
    let taken = file.with_added_extension("taken");
    if std::fs::rename(file, &taken).is_err() {
        return;
    }
    let tokens = grip.fencing.tokens.iter();
    let tokens = tokens.map(|(sku, token)| format!("{sku} {token}\n"));
    let stopped = std::fs::write(&taken, tokens.collect::<String>())
        .and_then(|()| Ok(raise(Signal::SIGSTOP)?));
    if let Err(error) = stopped {
        tracing::error!(%error, "the failpoint did not stop the process");
    }
}
