//! Page tokens: where the next page begins, bound to the list it belongs to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oms_core::Violation;
use oms_proto::common::v1::ErrorReason;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::error::{ApiError, reason_name};

/// Bytes of the seal in front of the position.
const SEAL_LEN: usize = 8;

/// The `next_page_token` of list responses and the `page_token` of list requests.
///
/// `filter` is the [`fingerprint`](crate::fingerprint) of the list request with `page_size` and
/// `page_token` cleared; a token is good only for the list it came from. The position is whatever the
/// query needs to go on, usually the sort key of the last row.
///
/// ```
/// use oms_service::PageToken;
///
/// let filter = [7; 32];
/// let token = PageToken::encode(&("2026-11-23", 41), &filter);
/// let position: Option<(String, i64)> = PageToken::decode(&token, &filter)?;
/// assert_eq!(position, Some(("2026-11-23".to_owned(), 41)));
/// # Ok::<_, oms_service::ApiError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct PageToken;

impl PageToken {
    /// The token of the page after this position.
    pub fn encode<P: Serialize>(position: &P, filter: &[u8; 32]) -> String {
        let Ok(position) = serde_json::to_vec(position) else {
            // Only maps with keys that are no strings cannot be written: no position is one.
            return String::new();
        };
        let mut token = seal(&position, filter).to_vec();
        token.extend(position);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The position of a token; `None` for an empty token, which is the first page.
    ///
    /// # Errors
    /// INVALID_ARGUMENT / PAGE_TOKEN_INVALID for a token that is malformed, was changed, or belongs
    /// to another filter.
    pub fn decode<P: DeserializeOwned>(
        token: &str,
        filter: &[u8; 32],
    ) -> Result<Option<P>, ApiError> {
        if token.is_empty() {
            return Ok(None);
        }
        let position = open(token, filter).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        position.map(Some).ok_or_else(|| {
            let message = "must be the next_page_token of the same list with the same filter";
            ApiError::from(Violation {
                field: "page_token".to_owned(),
                reason: reason_name(ErrorReason::PageTokenInvalid),
                message: message.to_owned(),
            })
        })
    }
}

fn open(token: &str, filter: &[u8; 32]) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (sealed, position) = bytes.split_at_checked(SEAL_LEN)?;
    (sealed == seal(position, filter)).then(|| position.to_vec())
}

/// Tells an accident from a token; it is no secret, and a position gives no access to anything.
fn seal(position: &[u8], filter: &[u8; 32]) -> [u8; SEAL_LEN] {
    let digest = Sha256::new()
        .chain_update(filter)
        .chain_update(position)
        .finalize();
    let mut seal = [0; SEAL_LEN];
    seal.iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = from);
    seal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_comes_as_a_token_is_a_token_or_refused(text in ".{0,200}", filter: [u8; 32]) {
            if let Err(error) = PageToken::decode::<(String, i64)>(&text, &filter) {
                prop_assert_eq!(error.reason(), ErrorReason::PageTokenInvalid);
            }
        }

        /// Behind a right seal, as whoever reads the code can make one.
        #[test]
        fn whatever_is_sealed_is_a_position_or_refused(position: Vec<u8>, filter: [u8; 32]) {
            let sealed = [&seal(&position, &filter)[..], &position].concat();
            let token = URL_SAFE_NO_PAD.encode(sealed);
            if let Err(error) = PageToken::decode::<(String, i64)>(&token, &filter) {
                prop_assert_eq!(error.reason(), ErrorReason::PageTokenInvalid);
            }
        }
    }

    #[test]
    fn a_token_is_refused_when_changed_or_for_another_filter() {
        let filter = [1; 32];
        let token = PageToken::encode(&42_i64, &filter);
        assert_eq!(PageToken::decode::<i64>(&token, &filter), Ok(Some(42)));
        assert_eq!(PageToken::decode::<i64>("", &filter), Ok(None));
        let mut tampered = token.clone();
        tampered.pop();
        for wrong in ["x", "!!!", "AAAA", &tampered, &format!("{token}A")] {
            let error = PageToken::decode::<i64>(wrong, &filter).unwrap_err();
            assert_eq!(error.reason(), ErrorReason::PageTokenInvalid, "{wrong}");
        }
        assert!(PageToken::decode::<i64>(&token, &[2; 32]).is_err());
        assert!(PageToken::decode::<String>(&token, &filter).is_err());
    }
}
