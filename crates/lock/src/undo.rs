use std::sync::Arc;

use redis::RedisResult;
use tokio::time::timeout;

use crate::leases::Shared;
use crate::link::Connected;

/// Gives names back when a call ends without them (an error, a timeout, its caller going away), on
/// the connection on which they were asked for: Redis does both in order, however late it does them.
pub(crate) struct Undo {
    shared: Arc<Shared>,
    value: String,
    names: Vec<String>,
    asked_on: Option<Connected>,
}

impl Undo {
    /// To undo these names once they are asked for.
    pub(crate) fn new(shared: &Arc<Shared>, value: &str, names: &[String]) -> Self {
        Self {
            shared: Arc::clone(shared),
            value: value.to_owned(),
            names: names.to_vec(),
            asked_on: None,
        }
    }

    /// They are asked for here now, and have not been got elsewhere.
    pub(crate) fn asks_on(&mut self, connected: &Connected) {
        self.asked_on = Some(connected.clone());
    }

    /// Only these were got.
    pub(crate) fn narrow(&mut self, taken: impl IntoIterator<Item = String>) {
        self.names = taken.into_iter().collect();
    }

    /// They are kept.
    pub(crate) fn forget(mut self) {
        self.names.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let Some(connected) = self.asked_on.take() else {
            return;
        };
        // Without a runtime the program is ending; the names expire.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.names.is_empty() {
            return;
        }
        let (value, names) = (
            std::mem::take(&mut self.value),
            std::mem::take(&mut self.names),
        );
        let shared = Arc::clone(&self.shared);
        // Later they have expired by themselves.
        let patience = shared.config.ttl;
        let release = async move {
            let call = shared.release_call(&value, &names);
            let mut connection = connected.connection.clone();
            let _released: RedisResult<redis::Value> = call.invoke_async(&mut connection).await;
        };
        runtime.spawn(async move { timeout(patience, release).await.ok() });
    }
}
