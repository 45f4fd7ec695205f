//! Pauses and names of what a saga does.

use std::time::Duration;

use super::driver;
use crate::ctx::Ctx;
use crate::domain::saga::Step;

/// The pause after so many failures: doubles up to its maximum, spread.
pub(super) fn backoff(ctx: &Ctx, failures: i32) -> time::Duration {
    let config = &ctx.config.saga;
    let doublings = u32::try_from(failures.saturating_sub(1))
        .unwrap_or_default()
        .min(30);
    let whole = config
        .backoff_first_ms
        .saturating_mul(1 << doublings)
        .min(config.backoff_most_ms);
    let spread = Duration::from_millis(whole).mul_f64(0.5 + 0.5 * driver::share(ctx));
    // In microseconds, so that a short pause does not become none.
    time::Duration::microseconds(i64::try_from(spread.as_micros()).unwrap_or(i64::MAX))
}

pub(super) fn tx_name(step: Step) -> &'static str {
    match step {
        Step::Screen => "saga_screen",
        Step::Source => "saga_source",
        Step::Reserve => "saga_reserve",
        Step::AwaitHolds => "saga_await_holds",
        Step::Authorize => "saga_authorize",
        Step::Allocate => "saga_allocate",
        Step::Confirm => "saga_confirm",
        Step::Release => "saga_release",
    }
}
