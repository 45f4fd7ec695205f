//! A line of an export, which is also how rows come out of a database.

use anyhow::{Context, bail};
use oms_postgres::audit::{Entry, Hash, Kind};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(super) enum Line {
    /// Where the chain of a service begins and ends; before its rows.
    Head(Head),
    /// A row.
    Row(Box<Row>),
}

/// Hashes in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    #[sqlx(default)]
    pub(super) service: String,
    pub(super) seq: i64,
    pub(super) hash: String,
    pub(super) first_seq: i64,
    pub(super) first_prev_hash: String,
}

/// Columns of `audit_log`; hashes in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    #[sqlx(default)]
    pub(super) service: String,
    pub(super) seq: i64,
    pub(super) epoch: Uuid,
    pub(super) kind: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) at: OffsetDateTime,
    pub(super) principal: String,
    pub(super) method: String,
    pub(super) object_type: String,
    pub(super) object_id: String,
    pub(super) object_version: i64,
    pub(super) content_hash: String,
    pub(super) reason: String,
    pub(super) entry_id: Uuid,
    pub(super) traceparent: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) recorded_at: OffsetDateTime,
    pub(super) hash: String,
}

impl Row {
    /// What is hashed.
    pub(super) fn entry(&self) -> anyhow::Result<Entry> {
        let Some(kind) = Kind::parse(&self.kind) else {
            bail!("{:?} is no kind", self.kind);
        };
        Ok(Entry {
            seq: self.seq,
            epoch: self.epoch,
            kind,
            at: self.at,
            principal: self.principal.clone(),
            method: self.method.clone(),
            object_type: self.object_type.clone(),
            object_id: self.object_id.clone(),
            object_version: self.object_version,
            content_hash: read_hash(&self.content_hash)?,
            reason: self.reason.clone(),
            entry_id: self.entry_id,
            traceparent: self.traceparent.clone(),
            recorded_at: self.recorded_at,
        })
    }

    /// The row in words.
    pub(super) fn says(&self) -> String {
        let at = self.at.format(&Rfc3339).unwrap_or_default();
        format!(
            "{} on {:?} by {} at {at}",
            self.method, self.object_id, self.principal
        )
    }
}

/// A hash in hexadecimal; only one text stands for a hash.
pub(super) fn read_hash(text: &str) -> anyhow::Result<Hash> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).with_context(|| format!("{text:?} is no hash"))?;
    if hex::encode(hash) != text {
        bail!("{text:?} is no hash in lower case");
    }
    Ok(hash)
}
