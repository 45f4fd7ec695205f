//! Where a package is: reports of the carrier merged by rank, never by who came last.

use time::{Duration, OffsetDateTime};

/// Longest tracking number in characters.
pub(crate) const NUMBER_CHARS_MAX: usize = 64;
/// Longest id of a carrier's event in characters.
pub(crate) const EVENT_ID_CHARS_MAX: usize = 200;
/// Longest text of a carrier in characters.
pub(crate) const DESCRIPTION_CHARS_MAX: usize = 200;
/// How far the carrier's clock may be ahead of ours.
const AHEAD_MAX: Duration = Duration::DAY;

/// Whether a carrier says that something happened later than its clock may think it is.
pub(crate) fn is_ahead(occurred_at: OffsetDateTime, now: OffsetDateTime) -> bool {
    occurred_at > now + AHEAD_MAX
}

/// Where a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TrackingStatus {
    /// The carrier said something that is not understood.
    Unknown,
    /// The carrier knows the label, not the package.
    PreTransit,
    /// On its way.
    InTransit,
    /// On the last vehicle.
    OutForDelivery,
    /// Tried, nobody there.
    DeliveryAttempted,
    /// Waits at a pickup point.
    AvailableForPickup,
    /// Something is wrong; may go on.
    Exception,
    /// Delivered.
    Delivered,
    /// Goes back to the sender.
    ReturnToSender,
    /// Is back at the sender.
    Returned,
    /// Lost.
    Lost,
    /// Destroyed or damaged.
    Damaged,
}

use TrackingStatus as T;

impl TrackingStatus {
    /// All statuses.
    pub(crate) const ALL: [Self; 12] = [
        T::Unknown,
        T::PreTransit,
        T::InTransit,
        T::OutForDelivery,
        T::DeliveryAttempted,
        T::AvailableForPickup,
        T::Exception,
        T::Delivered,
        T::ReturnToSender,
        T::Returned,
        T::Lost,
        T::Damaged,
    ];

    /// The name that the database, the proto enum and people use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            T::Unknown => "UNKNOWN",
            T::PreTransit => "PRE_TRANSIT",
            T::InTransit => "IN_TRANSIT",
            T::OutForDelivery => "OUT_FOR_DELIVERY",
            T::DeliveryAttempted => "DELIVERY_ATTEMPTED",
            T::AvailableForPickup => "AVAILABLE_FOR_PICKUP",
            T::Exception => "EXCEPTION",
            T::Delivered => "DELIVERED",
            T::ReturnToSender => "RETURN_TO_SENDER",
            T::Returned => "RETURNED",
            T::Lost => "LOST",
            T::Damaged => "DAMAGED",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// How far the package is. A report moves a package to a higher rank only. Delivered goods may
    /// still be sent back, be found damaged or turn out to be lost, so those rank above.
    fn rank(self) -> u8 {
        match self {
            T::Unknown => 0,
            T::PreTransit => 1,
            T::InTransit => 2,
            T::OutForDelivery => 3,
            T::DeliveryAttempted => 4,
            T::AvailableForPickup => 5,
            T::Exception => 6,
            T::Delivered => 7,
            T::ReturnToSender => 8,
            T::Returned | T::Lost | T::Damaged => 9,
        }
    }

    /// True for what only a carrier who has the package can report.
    pub(crate) fn is_physical_scan(self) -> bool {
        !matches!(self, T::Unknown | T::PreTransit)
    }

    /// True when nothing more is expected.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, T::Delivered | T::Returned | T::Lost | T::Damaged)
    }
}

/// A status and when the carrier says it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// Status.
    pub(crate) status: TrackingStatus,
    /// By the carrier's clock.
    pub(crate) occurred_at: OffsetDateTime,
}

/// Whether a report moves a package that is where `present` says. The one way back is out of an
/// exception, and only by a report of something that happened after it: a report that was under
/// way longer must not hide the exception.
pub(crate) fn moves(present: Option<Report>, report: Report) -> bool {
    let Some(present) = present else {
        return true;
    };
    if present.status == T::Exception
        && report.status.rank() >= T::InTransit.rank()
        && report.status.rank() < T::Exception.rank()
    {
        return report.occurred_at > present.occurred_at;
    }
    report.status.rank() > present.status.rank()
}

/// What the packages say about their shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// At least one is under way.
    UnderWay,
    /// All were delivered.
    AllDelivered,
    /// All ended, not all were delivered.
    SomeFailed,
}

/// The outcome of a shipment with packages of these statuses.
pub(crate) fn outcome(statuses: impl IntoIterator<Item = Option<TrackingStatus>>) -> Outcome {
    let mut outcome = Outcome::AllDelivered;
    for status in statuses {
        match status {
            Some(status) if status.is_final() => {
                if status != T::Delivered {
                    outcome = Outcome::SomeFailed;
                }
            }
            _ => return Outcome::UnderWay,
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;

    fn at(status: TrackingStatus, minutes: i64) -> Report {
        let occurred_at = OffsetDateTime::UNIX_EPOCH + Duration::minutes(minutes);
        Report {
            status,
            occurred_at,
        }
    }

    fn merge(reports: &[Report]) -> Option<Report> {
        let mut present = None;
        for report in reports {
            if moves(present, *report) {
                present = Some(*report);
            }
        }
        present
    }

    #[test]
    fn names_round_trip() {
        for status in TrackingStatus::ALL {
            assert_eq!(TrackingStatus::parse(status.as_str()), Some(status));
        }
    }

    #[test]
    fn a_late_report_moves_nothing_back() {
        let delivered = at(T::Delivered, 30);
        assert!(!moves(Some(delivered), at(T::OutForDelivery, 20)));
        assert!(!moves(Some(delivered), at(T::InTransit, 40)));
        assert!(!moves(Some(delivered), at(T::Exception, 40)));
    }

    #[test]
    fn the_allowed_reversals() {
        assert!(moves(Some(at(T::Delivered, 30)), at(T::ReturnToSender, 40)));
        assert!(moves(Some(at(T::Exception, 30)), at(T::InTransit, 40)));
        assert!(!moves(Some(at(T::Exception, 30)), at(T::InTransit, 20)));
        assert!(moves(Some(at(T::Exception, 30)), at(T::Delivered, 20)));
    }

    #[test]
    fn a_shipment_ends_with_its_last_package() {
        let all = |statuses: &[TrackingStatus]| outcome(statuses.iter().copied().map(Some));
        assert_eq!(all(&[T::Delivered, T::Delivered]), Outcome::AllDelivered);
        assert_eq!(all(&[T::Delivered, T::InTransit]), Outcome::UnderWay);
        assert_eq!(all(&[T::Delivered, T::Lost]), Outcome::SomeFailed);
        assert_eq!(all(&[T::Lost, T::ReturnToSender]), Outcome::UnderWay);
        assert_eq!(outcome([Some(T::Delivered), None]), Outcome::UnderWay);
    }

    fn reports() -> impl Strategy<Value = Vec<Report>> {
        let status = prop::sample::select(TrackingStatus::ALL.to_vec());
        prop::collection::vec((status, 0..100_i64).prop_map(|(s, m)| at(s, m)), 1..12)
    }

    proptest! {
        #[test]
        fn a_repeat_moves_nothing(reports in reports(), pick in 0..12_usize) {
            let present = merge(&reports);
            let repeated = reports[pick % reports.len()];
            // Of equal reports the one that is there stays; an older exception is not revived.
            if Some(repeated) == present {
                prop_assert!(!moves(present, repeated));
            }
        }

        #[test]
        fn without_exceptions_the_order_of_arrival_does_not_matter(
            reports in reports(), seed in any::<u64>(),
        ) {
            let reports: Vec<Report> =
                reports.into_iter().filter(|r| r.status != T::Exception).collect();
            let mut other = reports.clone();
            if !other.is_empty() {
                let turn = usize::try_from(seed % 12).unwrap() % other.len();
                other.rotate_left(turn);
            }
            let rank = |merged: Option<Report>| merged.map(|report| report.status.rank());
            prop_assert_eq!(rank(merge(&reports)), rank(merge(&other)));
        }

        #[test]
        fn an_end_stays_an_end_or_is_corrected(reports in reports()) {
            let mut present: Option<Report> = None;
            for report in reports {
                if moves(present, report) {
                    if let Some(before) = present.filter(|before| before.status.is_final()) {
                        prop_assert!(report.status.rank() > before.status.rank());
                    }
                    present = Some(report);
                }
            }
        }
    }
}
