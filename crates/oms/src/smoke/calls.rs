//! Calls that are made again while they may end otherwise, up to a time.

use std::future::Future;
use std::time::{Duration, Instant};

use oms_service::PeerError;
use tonic::{Response, Status};

use super::Failure;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// What a look saw.
pub(super) enum Seen<T> {
    /// What is waited for.
    Done(T),
    /// Not yet; instead this.
    NotYet(String),
}

/// Makes a call until it is answered for good. The same request id makes a repeat harmless.
///
/// # Errors
/// The refusal, or the last failure when the time is up.
pub(super) async fn answered<T, Called>(
    patience: Duration,
    call: impl Fn() -> Called,
) -> Result<T, Failure>
where
    Called: Future<Output = Result<Response<T>, Status>>,
{
    let ends = Instant::now() + patience;
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => PeerError::from(status),
        };
        if !error.retryable() || Instant::now() >= ends {
            return Err(error.into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Makes a call until `judge` sees in its answer what is waited for.
///
/// # Errors
/// What `judge` says is final, a refusal, or what was seen last when the time is up.
pub(super) async fn until<T, U, Called>(
    patience: Duration,
    call: impl Fn() -> Called,
    judge: impl Fn(T) -> Result<Seen<U>, Failure>,
) -> Result<U, Failure>
where
    Called: Future<Output = Result<Response<T>, Status>>,
{
    let ends = Instant::now() + patience;
    loop {
        let left = ends.saturating_duration_since(Instant::now());
        match judge(answered(left, &call).await?)? {
            Seen::Done(done) => return Ok(done),
            Seen::NotYet(seen) if Instant::now() >= ends => {
                let seconds = patience.as_secs();
                return Err(Failure::unexpected(format!("after {seconds} s: {seen}")));
            }
            Seen::NotYet(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
