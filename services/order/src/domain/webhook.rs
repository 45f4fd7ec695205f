//! Webhooks to endpoints outside: what goes where, and how often it is tried.

use core::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

/// Longest address in characters.
pub(crate) const URL_LEN_MAX: usize = 2_048;
/// Most event types or channels of a filter.
pub(crate) const FILTER_MAX: usize = 50;
/// Longest description in characters.
pub(crate) const DESCRIPTION_LEN_MAX: usize = 500;
/// Longest time for which a secret that was replaced goes on signing.
pub(crate) const OVERLAP_MAX: Duration = Duration::from_hours(7 * 24);
/// The time for which it does when the caller gives none.
pub(crate) const OVERLAP_DEFAULT: Duration = Duration::from_hours(24);

/// Events of this aggregate go to no webhook.
pub(crate) const ENDPOINT_AGGREGATE: &str = "webhook_endpoint";

/// Waits after the first, second .. failed attempt, as the Standard Webhooks specification proposes: ten attempts
/// in a little over three days.
pub(crate) const WAITS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// The wait after so many failures in a row; `None` when the schedule has ended. `share`, between 0 and 1, adds up to a
/// tenth, so that what failed together does not come back together.
pub(crate) fn wait_after(failures: i32, share: f64) -> Option<Duration> {
    let index = usize::try_from(failures).ok()?.checked_sub(1)?;
    let wait = WAITS.get(index)?;
    Some(wait.mul_f64(1.0 + 0.1 * share.clamp(0.0, 1.0)))
}

/// Whether an endpoint gets events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndpointState {
    Enabled,
    Disabled,
    /// Nobody sees it any more.
    Deleted,
}

impl EndpointState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
            Self::Deleted => "DELETED",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Enabled, Self::Disabled, Self::Deleted]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// Why an endpoint is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DisableReason {
    /// Somebody asked for it.
    Manual,
    /// It answered 410.
    Gone,
    /// Every attempt failed for days.
    Failing,
}

impl DisableReason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Manual, Self::Gone, Self::Failing]
            .into_iter()
            .find(|reason| reason.as_str() == text)
    }
}

/// A place outside that gets events.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) endpoint_id: Uuid,
    /// May hold a key of the receiver.
    pub(crate) url: String,
    /// Empty for all.
    pub(crate) event_types: Vec<String>,
    /// Empty for all.
    pub(crate) channel_ids: Vec<String>,
    pub(crate) description: String,
    pub(crate) state: EndpointState,
    /// There when it is disabled.
    pub(crate) reason: Option<DisableReason>,
    /// Since when every attempt has failed.
    pub(crate) failing_since: Option<OffsetDateTime>,
    /// It gets the events after this position of the feed.
    pub(crate) after_pos: i64,
    pub(crate) version: i64,
    pub(crate) created_by: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
    /// Until when the secret before the present one signs.
    pub(crate) previous_secret_expires_at: Option<OffsetDateTime>,
}

impl std::fmt::Debug for Endpoint {
    /// Without the address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("endpoint_id", &self.endpoint_id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// What of an event filters look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventFacts<'a> {
    pub(crate) aggregate_type: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) channel_id: Option<&'a str>,
}

impl Endpoint {
    /// Whether the filters select an event, wherever it stands in the feed.
    pub(crate) fn selects(&self, event: EventFacts<'_>) -> bool {
        let of = |list: &[String], value: &str| list.is_empty() || list.iter().any(|v| v == value);
        event.aggregate_type != ENDPOINT_AGGREGATE
            && of(&self.event_types, event.event_type)
            && of(&self.channel_ids, event.channel_id.unwrap_or_default())
    }

    /// Requests that may be under way to it in one replica: one that fails is only probed.
    pub(crate) fn places(&self, most: usize) -> usize {
        if self.failing_since.is_some() {
            1
        } else {
            most
        }
    }

    /// Disables it.
    pub(crate) fn disable(&mut self, reason: DisableReason) {
        self.state = EndpointState::Disabled;
        self.reason = Some(reason);
    }

    /// Enables it for the events after a position.
    pub(crate) fn enable(&mut self, after_pos: i64) {
        self.state = EndpointState::Enabled;
        self.reason = None;
        self.failing_since = None;
        self.after_pos = after_pos;
    }
}

/// Whether an event has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryState {
    Pending,
    Delivered,
    Failed,
}

impl DeliveryState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Delivered => "DELIVERED",
            Self::Failed => "FAILED",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Delivered, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) delivery_id: Uuid,
    pub(crate) endpoint_id: Uuid,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: String,
    pub(crate) feed_pos: i64,
    pub(crate) state: DeliveryState,
    /// Claims so far.
    pub(crate) attempt: i32,
    /// Failures since it was created or replayed.
    pub(crate) failures: i32,
    pub(crate) next_attempt_at: OffsetDateTime,
    pub(crate) last_error: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) ended_at: Option<OffsetDateTime>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// From 1.
    pub(crate) number: i32,
    pub(crate) started_at: OffsetDateTime,
    /// 0 when there was no answer.
    pub(crate) status_code: i32,
    pub(crate) latency_ms: i64,
    /// Empty when it was accepted.
    pub(crate) error: String,
    /// The beginning of the answer.
    pub(crate) excerpt: String,
}

impl Attempt {
    /// The endpoint has the event.
    pub(crate) fn is_accepted(&self) -> bool {
        (200..300).contains(&self.status_code) && self.error.is_empty()
    }

    /// The endpoint wants no events any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.status_code == 410
    }
}

/// What lists of deliveries select.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeliveryFilter {
    pub(crate) endpoint_id: Option<Uuid>,
    pub(crate) event_id: Option<Uuid>,
    pub(crate) state: Option<DeliveryState>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_take_a_little_more_than_three_days() {
        let whole: Duration = (1..).map_while(|n| wait_after(n, 0.0)).sum();
        assert_eq!(whole, Duration::from_secs(75 * 3_600 + 35 * 60 + 5));
        assert_eq!(wait_after(10, 0.5), None);
        assert_eq!(wait_after(0, 0.5), None);
        assert_eq!(wait_after(1, 1.0), Some(Duration::from_millis(5_500)));
    }
}
