//! Reading the log.

use sqlx::{PgConnection, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::entry::{Entry, Hash, Kind, ZERO_HASH};
use crate::Error;

/// Where the chain ends, and where what is kept of it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Epoch of the feed.
    pub epoch: Uuid,
    /// Number of the last row; 0 when there is none.
    pub seq: i64,
    /// Hash of the last row; zero bytes when there is none.
    pub hash: Hash,
    /// Lowest number that retention still keeps.
    pub first_seq: i64,
    /// Hash of the row before it.
    pub first_prev_hash: Hash,
}

/// Which rows; empty texts and `None` select everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Who.
    pub principal: String,
    /// Name of the RPC or of the event.
    pub method: String,
    /// Kind of aggregate; leaves calls out.
    pub object_type: String,
    /// Id of the aggregate, or of what a call made or changed.
    pub object_id: String,
    /// Not before.
    pub from: Option<OffsetDateTime>,
    /// Before.
    pub until: Option<OffsetDateTime>,
}

/// A row with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The row.
    pub entry: Entry,
    /// Its hash.
    pub hash: Hash,
    /// Hash of the content of the object's change before this one, as far as it is kept; `None` for a call and a first
    /// change.
    pub before_hash: Option<Hash>,
}

/// Where the chain begins and ends.
pub async fn head(conn: &mut PgConnection) -> Result<Head, Error> {
    let row = sqlx::query!(
        r#"select a.seq, a.hash, a.first_seq, a.first_prev_hash,
                  (select epoch from feed_head) as "epoch!"
           from audit_head a"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Head {
        epoch: row.epoch,
        seq: row.seq,
        hash: hash_of(&row.hash),
        first_seq: row.first_seq,
        first_prev_hash: hash_of(&row.first_prev_hash),
    })
}

/// A row with the hash before it, in the order of the columns.
#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    epoch: Uuid,
    kind: String,
    at: OffsetDateTime,
    principal: String,
    method: String,
    object_type: String,
    object_id: String,
    object_version: i64,
    content_hash: Vec<u8>,
    reason: String,
    entry_id: Uuid,
    traceparent: String,
    recorded_at: OffsetDateTime,
    hash: Vec<u8>,
    before_hash: Option<Vec<u8>>,
}

const SELECT: &str = "
    select l.seq, l.epoch, l.kind, l.at, l.principal, l.method, l.object_type, l.object_id,
           l.object_version, l.content_hash, l.reason, l.entry_id, l.traceparent, l.recorded_at, l.hash,
           (select b.content_hash from audit_log b
            where l.object_version > 1 and b.object_id = l.object_id and b.seq < l.seq
              and b.object_type = l.object_type and b.object_version = l.object_version - 1
            order by b.seq desc limit 1) as before_hash
    from audit_log l where l.seq < ";

/// Rows below `before_seq`, the newest first, at most `limit`. Only what is asked for stands in the statement, so that
/// its plan goes by the index of the object or the principal.
pub async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    before_seq: i64,
    limit: i64,
) -> Result<Vec<Listed>, Error> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(SELECT);
    query.push_bind(before_seq);
    for (column, text) in [
        ("principal", &filter.principal),
        ("method", &filter.method),
        ("object_type", &filter.object_type),
        ("object_id", &filter.object_id),
    ] {
        if !text.is_empty() {
            query.push(" and l.").push(column).push(" = ");
            query.push_bind(text);
        }
    }
    if let Some(from) = filter.from {
        query.push(" and l.at >= ").push_bind(from);
    }
    if let Some(until) = filter.until {
        query.push(" and l.at < ").push_bind(until);
    }
    query.push(" order by l.seq desc limit ").push_bind(limit);
    let rows: Vec<Row> = query.build_query_as().fetch_all(conn).await?;
    Ok(rows.into_iter().map(Listed::from).collect())
}

impl From<Row> for Listed {
    fn from(row: Row) -> Self {
        Self {
            hash: hash_of(&row.hash),
            before_hash: row.before_hash.as_deref().map(hash_of),
            entry: Entry {
                seq: row.seq,
                epoch: row.epoch,
                kind: kind_of(&row.kind),
                at: row.at,
                principal: row.principal,
                method: row.method,
                object_type: row.object_type,
                object_id: row.object_id,
                object_version: row.object_version,
                content_hash: hash_of(&row.content_hash),
                reason: row.reason,
                entry_id: row.entry_id,
                traceparent: row.traceparent,
                recorded_at: row.recorded_at,
            },
        }
    }
}

/// Constraints hold the length; a table without them gives zeros, which are in no chain.
pub(super) fn hash_of(bytes: &[u8]) -> Hash {
    bytes.try_into().unwrap_or(ZERO_HASH)
}

/// A constraint holds the words.
fn kind_of(word: &str) -> Kind {
    Kind::parse(word).unwrap_or(Kind::Change)
}
