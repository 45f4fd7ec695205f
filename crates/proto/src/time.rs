//! Instants of the contract and of Rust.

use prost_types::Timestamp;
use time::OffsetDateTime;

/// A timestamp of a message is no instant of the years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("timestamp must be within the years 1 to 9999, its nanos 0 to 999999999")]
pub struct TimeOutOfRange;

/// The instant as a message field.
pub fn time_to_proto(instant: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: instant.unix_timestamp(),
        // Below one thousand million, so it fits.
        nanos: i32::try_from(instant.nanosecond()).unwrap_or_default(),
    }
}

/// The instant of a message field, in UTC.
pub fn time_from_proto(timestamp: Timestamp) -> Result<OffsetDateTime, TimeOutOfRange> {
    let nanos = u32::try_from(timestamp.nanos).map_err(|_| TimeOutOfRange)?;
    OffsetDateTime::from_unix_timestamp(timestamp.seconds)
        .ok()
        .and_then(|instant| instant.replace_nanosecond(nanos).ok())
        .filter(|instant| instant.year() >= 1)
        .ok_or(TimeOutOfRange)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_before_1970_count_their_nanos_forward() {
        let instant = datetime!(1969-12-31 23:59:59.25 UTC);
        let timestamp = time_to_proto(instant);
        assert_eq!((timestamp.seconds, timestamp.nanos), (-1, 250_000_000));
        assert_eq!(time_from_proto(timestamp), Ok(instant));
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for (seconds, nanos) in [
            (0, -1),
            (0, 1_000_000_000),
            (253_402_300_800, 0),
            (-62_135_596_801, 0),
            (i64::MAX, 0),
        ] {
            assert_eq!(
                time_from_proto(Timestamp { seconds, nanos }),
                Err(TimeOutOfRange)
            );
        }
    }

    proptest! {
        #[test]
        fn instants_come_back(
            seconds in -62_135_596_800_i64..=253_402_300_799,
            nanos in 0_i32..1_000_000_000,
        ) {
            let timestamp = Timestamp { seconds, nanos };
            prop_assert_eq!(time_from_proto(timestamp).map(time_to_proto), Ok(timestamp));
        }
    }
}
