//! `oms.audit.v1.AuditService`: this service's audit log.

use oms_core::Violations;
use oms_postgres::Db;
use oms_postgres::audit::{self, Filter, Head, Kind, Listed};
use oms_proto::audit::v1::audit_service_server::AuditService;
use oms_proto::audit::v1::{
    AuditEntry, AuditHead, ListAuditRequest, ListAuditResponse, audit_entry,
};
use oms_proto::common::v1::ErrorReason;
use prost_types::Timestamp;
use time::OffsetDateTime;
use tonic::{Request, Response, Status};

use crate::error::{ApiError, reason_name};
use crate::page::PageToken;
use crate::request::{fingerprint, page_size};

/// Longest text of a filter, in characters.
const TEXT_LEN_MAX: usize = 256;

/// Serves the audit log of one database.
pub(crate) struct Audit {
    db: Db,
}

impl Audit {
    pub(crate) fn new(db: Db) -> Self {
        Self { db }
    }
}

#[tonic::async_trait]
impl AuditService for Audit {
    async fn list_audit(
        &self,
        request: Request<ListAuditRequest>,
    ) -> Result<Response<ListAuditResponse>, Status> {
        let mut request = request.into_inner();
        let token = std::mem::take(&mut request.page_token);
        let size = std::mem::take(&mut request.page_size);
        let seal = fingerprint(&request);
        let mut violations = Violations::default();
        let limit = page_size(size, &mut violations);
        let filter = filter(request, &mut violations);
        violations.into_result().map_err(ApiError::from)?;
        let before = PageToken::decode::<i64>(&token, &seal)?.unwrap_or(i64::MAX);
        let (mut listed, head) = self.read(&filter, before, limit + 1).await?;
        let mut next_page_token = String::new();
        if listed.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
            listed.pop();
            let last = listed.last().map_or(0, |last| last.entry.seq);
            next_page_token = PageToken::encode(&last, &seal);
        }
        Ok(Response::new(ListAuditResponse {
            entries: listed.into_iter().map(proto_entry).collect(),
            next_page_token,
            head: Some(proto_head(head)),
        }))
    }
}

impl Audit {
    async fn read(
        &self,
        filter: &Filter,
        before: i64,
        limit: i64,
    ) -> Result<(Vec<Listed>, Head), ApiError> {
        let mut conn = self.db.read().await?;
        let listed = audit::list(&mut conn, filter, before, limit).await?;
        Ok((listed, audit::head(&mut conn).await?))
    }
}

fn filter(request: ListAuditRequest, violations: &mut Violations) -> Filter {
    let texts = [
        ("principal", &request.principal),
        ("method", &request.method),
        ("object_type", &request.object_type),
        ("object_id", &request.object_id),
    ];
    for (field, text) in texts {
        let reason = reason_name(ErrorReason::FieldOutOfRange);
        let is_fit = text.chars().count() <= TEXT_LEN_MAX;
        violations.check(is_fit, field, reason, "must have at most 256 characters");
        // Postgres takes no zero byte in a text.
        let reason = reason_name(ErrorReason::FieldMalformed);
        violations.check(
            !text.contains('\0'),
            field,
            reason,
            "must not contain a zero byte",
        );
    }
    let from = time("from_time", request.from_time.as_ref(), violations);
    let until = time("until_time", request.until_time.as_ref(), violations);
    Filter {
        principal: request.principal,
        method: request.method,
        object_type: request.object_type,
        object_id: request.object_id,
        from,
        until,
    }
}

fn time(
    field: &'static str,
    time: Option<&Timestamp>,
    violations: &mut Violations,
) -> Option<OffsetDateTime> {
    let read = oms_proto::time_from_proto(*time?);
    if read.is_err() {
        let reason = reason_name(ErrorReason::FieldOutOfRange);
        violations.push(field, reason, "must be a time from year 1 to 9999");
    }
    read.ok()
}

fn proto_head(head: Head) -> AuditHead {
    AuditHead {
        seq: head.seq,
        hash: head.hash.to_vec(),
        epoch: head.epoch.to_string(),
        first_seq: head.first_seq,
    }
}

fn proto_entry(listed: Listed) -> AuditEntry {
    let entry = listed.entry;
    let (kind, request_id, event_id) = match entry.kind {
        Kind::Call => (
            audit_entry::Kind::Call,
            entry.entry_id.to_string(),
            String::new(),
        ),
        Kind::Change => (
            audit_entry::Kind::Change,
            String::new(),
            entry.entry_id.to_string(),
        ),
    };
    AuditEntry {
        seq: entry.seq,
        kind: kind.into(),
        at: Some(oms_proto::time_to_proto(entry.at)),
        principal: entry.principal,
        method: entry.method,
        object_type: entry.object_type,
        object_id: entry.object_id,
        object_version: entry.object_version,
        before_hash: listed.before_hash.map(Vec::from).unwrap_or_default(),
        content_hash: entry.content_hash.to_vec(),
        reason: entry.reason,
        request_id,
        event_id,
        trace_id: entry
            .traceparent
            .split('-')
            .nth(1)
            .unwrap_or_default()
            .to_owned(),
        traceparent: entry.traceparent,
        epoch: entry.epoch.to_string(),
        hash: listed.hash.to_vec(),
    }
}
