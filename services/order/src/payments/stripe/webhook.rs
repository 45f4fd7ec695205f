//! What an event is about: the key that we wrote into the metadata of its object.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::{Hint, Refusal};
use super::{CAPTURE_KEY, KEY};

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

/// Reads an event. Those of other objects, or of payments that somebody else has made, are about nothing of
/// ours.
pub(super) fn read(body: &[u8]) -> Result<Hint, Refusal> {
    let event: Event = serde_json::from_slice(body).map_err(|_| Refusal::Malformed)?;
    let metadata = event.data.object.metadata.unwrap_or_default();
    let names: &[&str] = match event.kind.split('.').next() {
        // After a capture an intent tells of that.
        Some("payment_intent") => &[CAPTURE_KEY, KEY],
        Some("charge" | "refund") => &[KEY],
        _ => &[],
    };
    let key = names.iter().find_map(|name| metadata.get(*name));
    Ok(Hint {
        event_id: event.id,
        idempotency_key: key.cloned(),
    })
}
