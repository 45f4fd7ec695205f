use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// How long anything in a test may take. Generous, so that only what never happens fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Waits until `check` returns a value. It is asked again and again, so that nothing that is
/// already true can be missed; meanwhile it returns, as its error, what the state is.
///
/// # Panics
/// After 30 s, with `what` and the last state in the message.
pub async fn wait_for<T, Check, Checking>(what: &str, mut check: Check) -> T
where
    Check: FnMut() -> Checking,
    Checking: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    let mut last = "nothing: the first check did not return".to_owned();
    loop {
        match timeout_at(deadline, check()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(state)) => last = state,
            Err(_) => {}
        }
        assert!(
            Instant::now() < deadline,
            "waited {} s for {what}; last seen: {last}",
            PATIENCE.as_secs()
        );
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn returns_what_it_waited_for() {
        let mut asked = 0;
        let value = wait_for("the third answer", || {
            asked += 1;
            let answer = if asked == 3 {
                Ok(asked)
            } else {
                Err(format!("answer {asked}"))
            };
            async move { answer }
        })
        .await;
        assert_eq!(value, 3);
    }
}
