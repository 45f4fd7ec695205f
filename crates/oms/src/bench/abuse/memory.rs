//! What a process holds in memory, where the system tells (`/proc`).

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::bench::facts::resident_mib;

const EVERY: Duration = Duration::from_millis(100);

/// Watches a process.
pub(super) struct Resident {
    before: Option<f64>,
    stop: oneshot::Sender<()>,
    most: JoinHandle<f64>,
}

impl Resident {
    /// From now on.
    pub(super) fn watch(pid: u32) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let before = resident_mib(pid);
        let most = tokio::spawn(async move {
            let mut most = 0.0_f64;
            loop {
                most = most.max(resident_mib(pid).unwrap_or_default());
                tokio::select! {
                    _ = &mut stopped => return most,
                    () = tokio::time::sleep(EVERY) => {}
                }
            }
        });
        Self { before, stop, most }
    }

    /// MiB when it began, and the most since; `None` where the system does not tell.
    pub(super) async fn end(self) -> Option<(f64, f64)> {
        // Whoever is gone needs no stop.
        let _ = self.stop.send(());
        let most = self.most.await.ok()?;
        self.before.map(|before| (before, most.max(before)))
    }
}
