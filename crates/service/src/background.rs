//! Background work of a program: ends when told to, and ends the program when it ends by itself.

use std::time::Duration;

use tokio::task::{AbortHandle, JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::program::StartError;

/// All background work of one program. Dropping it aborts what still runs.
pub(crate) struct Background {
    cancel: CancellationToken,
    watched: JoinSet<(&'static str, Result<(), JoinError>)>,
    work: Vec<AbortHandle>,
}

impl Background {
    pub(crate) fn new() -> Self {
        Self {
            cancel: CancellationToken::new(),
            watched: JoinSet::new(),
            work: Vec::new(),
        }
    }

    /// The token that tells background work to end.
    pub(crate) fn cancel_token(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Watches work that was started with [`Background::cancel_token`].
    pub(crate) fn watch(&mut self, name: &'static str, work: JoinHandle<()>) {
        self.work.push(work.abort_handle());
        self.watched.spawn(async move { (name, work.await) });
    }

    /// Waits until some work ends though nobody told it to. Forever when there is none.
    pub(crate) async fn failure(&mut self) -> StartError {
        let Some(ended) = self.watched.join_next().await else {
            return std::future::pending().await;
        };
        match ended {
            Ok((name, Ok(()))) => failed(name, "it ended"),
            Ok((name, Err(error))) => failed(name, &error.to_string()),
            Err(error) => failed("unknown", &error.to_string()),
        }
    }

    /// Tells all work to end, and waits for it so long; what does not end is aborted.
    pub(crate) async fn end(mut self, patience: Duration) -> Result<(), StartError> {
        self.cancel.cancel();
        let all = async {
            let mut result = Ok(());
            while let Some(ended) = self.watched.join_next().await {
                if let Ok((name, Err(error))) = ended {
                    result = Err(failed(name, &error.to_string()));
                }
            }
            result
        };
        tokio::time::timeout(patience, all)
            .await
            .unwrap_or_else(|_| {
                tracing::warn!("background work did not end in time and is aborted");
                Ok(())
            })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.cancel.cancel();
        for work in &self.work {
            work.abort();
        }
    }
}

fn failed(name: &'static str, reason: &str) -> StartError {
    StartError::Background {
        name,
        reason: reason.to_owned(),
    }
}
