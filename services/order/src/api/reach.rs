//! Callers whose reach is bound to channels see and change only the orders of those.

use oms_core::Access;
use tonic::Status;

use super::Api;
use super::error::status;
use crate::error::Error;
use crate::queries::channel_of::{Thing, channel_of};

impl Api {
    /// Refuses what belongs to another channel in the words for what does not exist, so that ids tell nothing. An
    /// order stays in its channel, so that what is found here still holds when the command runs.
    pub(super) async fn within(&self, access: &Access, thing: Thing) -> Result<(), Status> {
        if access.channels.is_all() {
            return Ok(());
        }
        let channel = channel_of(&self.ctx, thing).await.map_err(status)?;
        if channel.is_some_and(|channel| access.channels.permits(&channel)) {
            return Ok(());
        }
        Err(status(Error::NotFound {
            resource: thing.resource(),
            id: thing.to_string(),
        }))
    }
}
