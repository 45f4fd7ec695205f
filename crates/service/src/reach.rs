//! What callers see whose reach is bound to locations or channels: partners first of all.
//!
//! Closed by default: such a caller may call only methods that say in the contract that they keep to its
//! bounds (option `oms.common.v1.reach`). Their handlers then answer for what is within, and for everything
//! else as if it did not exist.

use oms_core::{Access, Reach};
use oms_proto::common::v1::ErrorReason;
use oms_proto::{BOUND_BY_CHANNEL, BOUND_BY_LOCATION};
use tonic::Code;

use crate::error::ApiError;

/// PERMISSION_DENIED / OUT_OF_REACH when the caller is bound, and the method with this path keeps to no bounds
/// of that kind. One who is bound to both locations and channels sees by location what keeps to locations, and
/// by channel what keeps to channels.
pub(crate) fn check_method(access: &Access, path: &str) -> Result<(), ApiError> {
    let Access {
        locations,
        channels,
        ..
    } = access;
    if locations.is_all() && channels.is_all() {
        return Ok(());
    }
    let keeps =
        |reach: &Reach, keeping: &[&str]| !reach.is_all() && keeping.binary_search(&path).is_ok();
    if keeps(locations, BOUND_BY_LOCATION) || keeps(channels, BOUND_BY_CHANNEL) {
        return Ok(());
    }
    Err(out_of_reach(
        "the method is not for callers with such bounds".to_owned(),
    ))
}

/// PERMISSION_DENIED / OUT_OF_REACH when a request names a location that is not the caller's, whether there
/// is such a location or not.
pub fn check_location(access: &Access, location_id: impl AsRef<str>) -> Result<(), ApiError> {
    check(&access.locations, "location_id", location_id.as_ref())
}

/// PERMISSION_DENIED / OUT_OF_REACH when a request names a channel that is not the caller's, whether there is
/// such a channel or not.
pub fn check_channel(access: &Access, channel_id: impl AsRef<str>) -> Result<(), ApiError> {
    check(&access.channels, "channel_id", channel_id.as_ref())
}

/// The locations that a list keeps to: the one it asks for, else the caller's; `None` for all.
pub fn locations(access: &Access, named: Option<&str>) -> Result<Option<Vec<String>>, ApiError> {
    narrowed(&access.locations, "location_id", named)
}

/// The channels that a list keeps to: the one it asks for, else the caller's; `None` for all.
pub fn channels(access: &Access, named: Option<&str>) -> Result<Option<Vec<String>>, ApiError> {
    narrowed(&access.channels, "channel_id", named)
}

fn narrowed(
    reach: &Reach,
    field: &'static str,
    named: Option<&str>,
) -> Result<Option<Vec<String>>, ApiError> {
    let Some(name) = named else {
        return Ok(reach.names());
    };
    check(reach, field, name)?;
    Ok(Some(vec![name.to_owned()]))
}

fn check(reach: &Reach, field: &'static str, name: &str) -> Result<(), ApiError> {
    if reach.permits(name) {
        return Ok(());
    }
    Err(out_of_reach(format!("{field} is not within the caller's reach")).with(field, name))
}

fn out_of_reach(message: String) -> ApiError {
    ApiError::new(Code::PermissionDenied, ErrorReason::OutOfReach, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAVE: &str = "/oms.fulfillment.v1.WaveService/CreateWave";
    const ORDER: &str = "/oms.order.v1.OrderService/GetOrder";
    const FEED: &str = "/oms.events.v1.EventFeedService/Subscribe";
    const PROPOSE: &str = "/oms.fulfillment.v1.SourcingService/ProposeSourcing";

    fn bound(locations: Reach, channels: Reach) -> Access {
        Access {
            locations,
            channels,
            ..Access::unbounded("partner:acme".parse().unwrap())
        }
    }

    #[test]
    fn the_bound_may_call_what_keeps_to_their_bounds() {
        let here = Reach::only(["W-1"]);
        let web = Reach::only(["web"]);
        let cases = [
            (bound(here.clone(), Reach::All), [true, false, true, false]),
            (bound(Reach::All, web.clone()), [false, true, true, false]),
            (bound(here, web), [true, true, true, false]),
            (bound(Reach::All, Reach::All), [true; 4]),
        ];
        for (access, expected) in cases {
            let may = |path| check_method(&access, path).is_ok();
            assert_eq!(
                [WAVE, ORDER, FEED, PROPOSE].map(may),
                expected,
                "{access:?}"
            );
        }
        let acme = bound(Reach::only::<&str>([]), Reach::All);
        let refused = check_method(&acme, PROPOSE).unwrap_err();
        assert_eq!(refused.reason(), ErrorReason::OutOfReach);
    }

    #[test]
    fn lists_keep_to_what_is_asked_for_and_may_be_seen() {
        let acme = bound(Reach::only(["W-1", "W-2"]), Reach::All);
        assert_eq!(locations(&acme, None).unwrap().unwrap(), ["W-1", "W-2"]);
        assert_eq!(locations(&acme, Some("W-2")).unwrap().unwrap(), ["W-2"]);
        let refused = locations(&acme, Some("W-3")).unwrap_err();
        assert_eq!(refused.reason(), ErrorReason::OutOfReach);
        assert!(check_location(&acme, "W-3").is_err() && check_location(&acme, "W-1").is_ok());
        assert_eq!(channels(&acme, None).unwrap(), None);
        assert_eq!(channels(&acme, Some("web")).unwrap().unwrap(), ["web"]);
    }
}
