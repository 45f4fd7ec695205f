//! Callers whose reach is bound to locations see and change only what is there.

use oms_core::Access;
use tonic::Status;

use super::Api;
use super::error::status;
use crate::error::Error;
use crate::queries::location_of::{Thing, location_of};

impl Api {
    /// Refuses a thing at another location in the words for one that does not exist, so that ids tell nothing. Nothing
    /// moves from one location to another, so that what is found here still holds when the command runs.
    pub(super) async fn within(&self, access: &Access, thing: Thing) -> Result<(), Status> {
        if access.locations.is_all() {
            return Ok(());
        }
        let location = location_of(&self.ctx, thing).await.map_err(status)?;
        if location.is_some_and(|location| access.locations.permits(location.as_str())) {
            return Ok(());
        }
        Err(status(Error::not_found(thing.resource(), thing)))
    }
}
