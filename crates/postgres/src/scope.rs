//! What the transaction of the current task has seen so far.
//!
//! Store functions take a plain connection, so inserting a task or an event, and meeting another
//! transaction, are noted in a task-local that `run_tx` sets around the body.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, ErrorKind};

tokio::task_local! {
    static SCOPE: Arc<Scope>;
}

/// Notes of one attempt of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    tasks: AtomicBool,
    events: AtomicBool,
    transient: AtomicBool,
    failed: AtomicBool,
}

impl Scope {
    /// Tasks became ready: wake the runners after commit.
    pub(crate) fn has_tasks(&self) -> bool {
        self.tasks.load(Ordering::Relaxed)
    }

    /// Events were appended: wake the relay after commit.
    pub(crate) fn has_events(&self) -> bool {
        self.events.load(Ordering::Relaxed)
    }

    /// A statement met another transaction: another attempt may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        self.transient.load(Ordering::Relaxed)
    }

    /// A statement failed, for whatever reason.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Runs a body with a scope of its own.
pub(crate) async fn with<F: Future>(scope: Arc<Scope>, body: F) -> F::Output {
    SCOPE.scope(scope, body).await
}

/// Whether the current task is inside of a transaction.
pub(crate) fn is_inside() -> bool {
    SCOPE.try_with(|_| ()).is_ok()
}

pub(crate) fn note_tasks() {
    note(|scope| &scope.tasks);
}

pub(crate) fn note_events() {
    note(|scope| &scope.events);
}

pub(crate) fn note_error(error: &Error) {
    match error.kind() {
        ErrorKind::Transient => {
            note(|scope| &scope.transient);
            note(|scope| &scope.failed);
        }
        ErrorKind::Unavailable | ErrorKind::Database => note(|scope| &scope.failed),
        ErrorKind::RequestIdReused | ErrorKind::LeaseLost | ErrorKind::FeedPositionGone => {}
    }
}

fn note(flag: impl Fn(&Scope) -> &AtomicBool) {
    // Outside of run_tx there is nobody to tell; the polls of runners and relay still find the rows.
    let _ = SCOPE.try_with(|scope| flag(scope).store(true, Ordering::Relaxed));
}
