//! Reads what availability is asked for, and answers it.

use std::collections::BTreeSet;

use futures::stream::{self, BoxStream, StreamExt};
use oms_core::{Access, ChannelId, LocationId, Reach, Sku, Violations};
use oms_proto::inventory::v1::{SkuAvailability, StockLevel, WatchAvailabilityResponse};
use oms_service::ApiError;
use tonic::Status;

use crate::domain::availability::Availability;
use crate::messages;
use crate::queries::{Changes, WatchError};

use super::checks;

/// Most locations of a request.
const LOCATIONS_MAX: usize = 1_000;

/// For which places and whom.
pub(super) struct Scope {
    /// `None` for all.
    pub(super) locations: Option<BTreeSet<LocationId>>,
    channel: Option<ChannelId>,
}

/// Reads locations, of which none are all, and a channel.
pub(super) fn scope(
    location_ids: &[String],
    channel_id: &str,
    violations: &mut Violations,
) -> Scope {
    let locations = checks::locations("location_ids", location_ids, 0..=LOCATIONS_MAX, violations);
    Scope {
        locations: (!location_ids.is_empty()).then(|| locations.into_iter().collect()),
        channel: channel("channel_id", channel_id, violations),
    }
}

/// A sales channel; `None` when none was named.
pub(super) fn channel(
    field: &str,
    channel_id: &str,
    violations: &mut Violations,
) -> Option<ChannelId> {
    match channel_id {
        "" => None,
        id => checks::required(field, id, violations),
    }
}

impl Scope {
    /// The same within the caller's reach, which is all its places when it names none.
    pub(super) fn within(mut self, access: &Access) -> Result<Self, ApiError> {
        let Reach::Only(seen) = &access.locations else {
            return Ok(self);
        };
        match &self.locations {
            Some(named) => {
                for location in named {
                    oms_service::check_location(access, location)?;
                }
            }
            // A name that cannot be a location is nobody's place.
            None => self.locations = Some(seen.iter().filter_map(|id| id.parse().ok()).collect()),
        }
        Ok(self)
    }

    /// Levels of the SKUs in their order.
    pub(super) fn levels<'a>(
        &self,
        skus: impl Iterator<Item = &'a Availability>,
    ) -> Vec<StockLevel> {
        let locations = self.locations.as_ref();
        let mut levels = Vec::new();
        for one in skus {
            levels.extend(one.levels_at(locations).map(messages::level));
        }
        levels
    }

    /// A SKU over these places, for this channel.
    pub(super) fn total(&self, of: &Availability) -> SkuAvailability {
        messages::total(of, self.locations.as_ref(), self.channel.as_ref())
    }

    /// The answers of a watch.
    pub(super) fn stream(
        self,
        changes: Changes,
    ) -> BoxStream<'static, Result<WatchAvailabilityResponse, Status>> {
        let answers = stream::try_unfold((changes, self), |(mut changes, scope)| async move {
            let told = changes.next().await.map_err(status)?;
            let skus = || told.skus.iter().map(AsRef::as_ref);
            let answer = WatchAvailabilityResponse {
                levels: scope.levels(skus()),
                totals: skus().map(|one| scope.total(one)).collect(),
                is_complete: told.is_complete,
            };
            Ok(Some((answer, (changes, scope))))
        });
        answers.boxed()
    }
}

/// Why a watch cannot begin or go on.
pub(super) fn status(error: WatchError) -> Status {
    let error = match error {
        WatchError::TooMany => ApiError::overloaded(),
        WatchError::Over => ApiError::unavailable("inventory"),
        WatchError::Kits(kits) => are_kits(&kits),
        WatchError::Store(error) => error.into(),
    };
    error.into()
}

fn are_kits(kits: &[Sku]) -> ApiError {
    let mut violations = Violations::default();
    for sku in kits {
        let message = format!("{sku} is a kit: its components can be followed");
        violations.check(false, "skus", "SKU_IS_KIT", message);
    }
    violations.into()
}
