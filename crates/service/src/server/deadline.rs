//! How long a call may take.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

const GRPC_TIMEOUT: &str = "grpc-timeout";

tokio::task_local! {
    static DEADLINE: Instant;
}

/// The deadline for a call: what its caller says, but no later than `most` from now.
pub(crate) fn of_headers(headers: &HeaderMap, most: Duration) -> Instant {
    let text = headers
        .get(GRPC_TIMEOUT)
        .and_then(|value| value.to_str().ok());
    let asked = text.and_then(parse).unwrap_or(most);
    Instant::now() + asked.min(most)
}

/// Runs a handler; calls of peers made by it take no longer than it may take itself.
pub(crate) async fn within<F: Future>(deadline: Instant, handler: F) -> F::Output {
    DEADLINE.scope(deadline, handler).await
}

/// Time left to the call in work; `None` when there is none, as in background work.
pub(crate) fn time_left() -> Option<Duration> {
    let deadline = DEADLINE.try_with(|deadline| *deadline).ok()?;
    Some(deadline.saturating_duration_since(Instant::now()))
}

/// A number of up to eight digits and a unit, as the gRPC specification says.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    let duration = match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_specification_allows() {
        assert_eq!(parse("100m"), Some(Duration::from_millis(100)));
        assert_eq!(parse("99999999H"), Some(Duration::from_hours(99_999_999)));
        assert_eq!(parse("0n"), Some(Duration::ZERO));
        for wrong in ["", "m", "1", "-1S", "1.5S", "123456789S", "1s", "1 S", "ü"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
