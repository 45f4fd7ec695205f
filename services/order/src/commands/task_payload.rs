//! Payloads of tasks as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The bytes of a payload. Structs of texts and numbers always have some; without, the task that reads them
/// would be left to a person.
pub(crate) fn encode<T: Serialize>(payload: &T) -> Vec<u8> {
    serde_json::to_vec(payload).unwrap_or_default()
}

/// Reads a payload, or says what is wrong with it.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("the payload cannot be read: {error}"))
}
