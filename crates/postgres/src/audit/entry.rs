//! A row of the log and its hash.

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

/// SHA-256.
pub type Hash = [u8; 32];

/// What the first row is chained to.
pub const ZERO_HASH: Hash = [0; 32];

/// 2000-01-01, from which Postgres counts microseconds.
const POSTGRES_EPOCH_SECS: i128 = 946_684_800;

/// What a row tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A mutating RPC that succeeded.
    Call,
    /// An aggregate that changed, by a call or by background work.
    Change,
}

impl Kind {
    /// The word in the row.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Call => "CALL",
            Self::Change => "CHANGE",
        }
    }

    /// The kind with this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Call, Self::Change]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Place in the chain: 1, 2, 3 without a gap.
    pub seq: i64,
    /// Epoch of the feed when the row was chained; another one after a restore.
    pub epoch: Uuid,
    /// What it tells of.
    pub kind: Kind,
    /// When, in whole microseconds.
    pub at: OffsetDateTime,
    /// Who, such as `user:alice`.
    pub principal: String,
    /// Name of the RPC, or of the event.
    pub method: String,
    /// Kind of aggregate; empty for a call.
    pub object_type: String,
    /// Id of the aggregate, or of what the call made or changed.
    pub object_id: String,
    /// Version that the change made; 0 for a call.
    pub object_version: i64,
    /// SHA-256 of the request, or of the payload of the event.
    pub content_hash: Hash,
    /// Why, if the call told.
    pub reason: String,
    /// Request id of the call, or id of the event.
    pub entry_id: Uuid,
    /// W3C traceparent; empty when tracing is off.
    pub traceparent: String,
    /// Database time when the row was chained, in whole microseconds.
    pub recorded_at: OffsetDateTime,
}

impl Entry {
    /// The hash of the row that follows the row with hash `prev`. The form is told in docs/audit.md and must never
    /// change for rows that exist.
    pub fn hash(&self, prev: &Hash) -> Hash {
        let mut form = Form(Sha256::new_with_prefix(prev));
        form.fixed(&self.seq.to_be_bytes());
        form.fixed(self.epoch.as_bytes());
        form.text(self.kind.as_str());
        form.fixed(&micros(self.at).to_be_bytes());
        form.text(&self.principal);
        form.text(&self.method);
        form.text(&self.object_type);
        form.text(&self.object_id);
        form.fixed(&self.object_version.to_be_bytes());
        form.fixed(&self.content_hash);
        form.text(&self.reason);
        form.fixed(self.entry_id.as_bytes());
        form.text(&self.traceparent);
        form.fixed(&micros(self.recorded_at).to_be_bytes());
        form.0.finalize().into()
    }
}

/// Fields one after the other, so that no two rows have the same form.
struct Form(Sha256);

impl Form {
    fn fixed(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Its length in bytes comes before it.
    fn text(&mut self, text: &str) {
        // Postgres holds no text that long.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.0.update(length.to_be_bytes());
        self.0.update(text.as_bytes());
    }
}

fn micros(at: OffsetDateTime) -> i64 {
    let micros = at.unix_timestamp_nanos().div_euclid(1_000) - POSTGRES_EPOCH_SECS * 1_000_000;
    // Years of four digits are far within.
    i64::try_from(micros).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            seq: 1,
            epoch: Uuid::from_u128(7),
            kind: Kind::Call,
            at: OffsetDateTime::UNIX_EPOCH,
            principal: "user:alice".to_owned(),
            method: "PlaceOrder".to_owned(),
            object_type: String::new(),
            object_id: "o".to_owned(),
            object_version: 0,
            content_hash: [1; 32],
            reason: String::new(),
            entry_id: Uuid::from_u128(8),
            traceparent: String::new(),
            recorded_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn every_field_and_the_row_before_count() {
        let changes: [fn(&mut Entry); 14] = [
            |e| e.seq = 2,
            |e| e.epoch = Uuid::nil(),
            |e| e.kind = Kind::Change,
            |e| e.at += time::Duration::microseconds(1),
            |e| e.principal.push('x'),
            |e| e.method.push('x'),
            |e| e.object_type.push('x'),
            |e| e.object_id.push('x'),
            |e| e.object_version = 1,
            |e| e.content_hash[31] = 0,
            |e| e.reason.push('x'),
            |e| e.entry_id = Uuid::nil(),
            |e| e.traceparent.push('x'),
            |e| e.recorded_at += time::Duration::microseconds(1),
        ];
        let hash = entry().hash(&ZERO_HASH);
        assert_eq!(entry().hash(&ZERO_HASH), hash);
        assert_ne!(entry().hash(&[1; 32]), hash);
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = entry();
            change(&mut changed);
            assert_ne!(changed.hash(&ZERO_HASH), hash, "change {number}");
        }
    }

    #[test]
    fn text_cannot_move_from_one_field_to_the_next() {
        let mut moved = entry();
        moved.principal.push_str(&moved.method);
        moved.method.clear();
        assert_ne!(moved.hash(&ZERO_HASH), entry().hash(&ZERO_HASH));
    }
}
