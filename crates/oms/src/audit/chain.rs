//! Computes chains again, and says where they do not hold.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::Context;
use oms_postgres::audit::Hash;
use serde::Serialize;

use super::line::{Head, Line, Row, read_hash};

/// Findings that are told of one service; all are counted.
const TOLD_MAX: usize = 20;

/// The hash of a row, as somebody wrote it down outside of the database: `order:1200:9f86..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Service.
    pub service: String,
    /// Number of the row.
    pub seq: i64,
    /// Its hash.
    pub hash: Hash,
}

impl FromStr for Checkpoint {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().context("a checkpoint is SERVICE:SEQ:HASH");
        Ok(Self {
            service: part()?.to_owned(),
            seq: part()?.parse().context("SEQ is a number")?,
            hash: read_hash(part()?)?,
        })
    }
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// One per log.
    pub services: Vec<ServiceReport>,
}

impl Report {
    /// Everything that does not hold.
    pub fn violations(&self) -> u64 {
        self.services.iter().map(|one| one.violations).sum()
    }
}

/// What was found in one log.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ServiceReport {
    /// Service.
    pub service: String,
    /// Rows that were looked at.
    pub rows: u64,
    /// Number of the last row by the head.
    pub head_seq: i64,
    /// Hash of the last row by the head, in hexadecimal: what a checkpoint is made of.
    pub head_hash: String,
    /// How much does not hold.
    pub violations: u64,
    /// The first of it.
    pub findings: Vec<Finding>,
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Number of the row.
    pub seq: i64,
    /// What is wrong, for people.
    pub what: String,
}

/// Chains while their lines come by.
pub(super) struct Chains {
    checkpoints: BTreeMap<String, BTreeMap<i64, Hash>>,
    chains: Vec<Chain>,
}

impl Chains {
    pub(super) fn new(checkpoints: &[Checkpoint]) -> Self {
        let mut by_service: BTreeMap<String, BTreeMap<i64, Hash>> = BTreeMap::new();
        for one in checkpoints {
            let of_service = by_service.entry(one.service.clone()).or_default();
            of_service.insert(one.seq, one.hash);
        }
        Self {
            checkpoints: by_service,
            chains: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, line: &Line) {
        match line {
            Line::Head(head) => self.chain(&head.service).begin(head),
            Line::Row(row) => self.chain(&row.service).take(row),
        }
    }

    fn chain(&mut self, service: &str) -> &mut Chain {
        let found = self
            .chains
            .iter()
            .position(|chain| chain.report.service == service);
        let place = found.unwrap_or_else(|| {
            self.chains.push(Chain {
                report: ServiceReport {
                    service: service.to_owned(),
                    ..ServiceReport::default()
                },
                checkpoints: self.checkpoints.remove(service).unwrap_or_default(),
                ..Chain::default()
            });
            self.chains.len() - 1
        });
        // Found or pushed above.
        &mut self.chains[place]
    }

    /// What was found, also of checkpoints of services without a log.
    pub(super) fn end(mut self) -> Report {
        for service in self.checkpoints.keys().cloned().collect::<Vec<_>>() {
            self.chain(&service);
        }
        Report {
            services: self.chains.into_iter().map(Chain::end).collect(),
        }
    }
}

/// One log.
#[derive(Default)]
struct Chain {
    report: ServiceReport,
    /// Not seen yet.
    checkpoints: BTreeMap<i64, Hash>,
    is_begun: bool,
    /// Number of the row before.
    last_seq: i64,
    /// Hash that the next row is chained to; `None` when it is not known, as rows are missing.
    prev: Option<Hash>,
    last_hash: String,
}

impl Chain {
    fn begin(&mut self, head: &Head) {
        if self.is_begun {
            self.find(head.seq, "the log begins twice".to_owned());
        }
        self.is_begun = true;
        self.report.head_seq = head.seq;
        self.report.head_hash.clone_from(&head.hash);
        self.last_seq = head.first_seq - 1;
        self.last_hash.clone_from(&head.first_prev_hash);
        self.prev = read_hash(&head.first_prev_hash).ok();
    }

    fn take(&mut self, row: &Row) {
        self.report.rows += 1;
        if !self.is_begun {
            self.is_begun = true;
            self.find(row.seq, "the log has no head before its rows".to_owned());
        }
        let expected = self.last_seq + 1;
        if row.seq < expected {
            self.find(
                row.seq,
                format!("{} stands where it does not belong", row.says()),
            );
            return;
        }
        if row.seq > expected {
            let last = row.seq - 1;
            self.find(expected, format!("rows {expected} to {last} are missing"));
            self.prev = None;
        }
        if let Some(wrong) = self.wrong(row) {
            self.find(row.seq, format!("{}: {wrong}", row.says()));
        }
        self.last_seq = row.seq;
        self.prev = read_hash(&row.hash).ok();
        self.last_hash.clone_from(&row.hash);
    }

    fn wrong(&mut self, row: &Row) -> Option<String> {
        let entry = match row.entry() {
            Ok(entry) => entry,
            Err(error) => return Some(format!("was changed, {error}")),
        };
        let Ok(hash) = read_hash(&row.hash) else {
            return Some("its hash was changed".to_owned());
        };
        if self.prev.is_some_and(|prev| entry.hash(&prev) != hash) {
            return Some("was changed, inserted or moved, or the row before it was".to_owned());
        }
        match self.checkpoints.remove(&row.seq) {
            Some(witnessed) if witnessed != hash => {
                Some("is not the row that was witnessed: the log was written again".to_owned())
            }
            _ => None,
        }
    }

    fn find(&mut self, seq: i64, what: String) {
        self.report.violations += 1;
        if self.report.findings.len() < TOLD_MAX {
            self.report.findings.push(Finding { seq, what });
        }
    }

    fn end(mut self) -> ServiceReport {
        let (last, head) = (self.last_seq, self.report.head_seq);
        if last < head {
            self.find(
                last + 1,
                format!("rows {} to {head} are missing at the end", last + 1),
            );
        } else if last > head {
            self.find(
                head + 1,
                format!("rows {} to {last} were added after the end", head + 1),
            );
        } else if self.last_hash != self.report.head_hash {
            self.find(
                head,
                "the head has another hash than the last row".to_owned(),
            );
        }
        for seq in std::mem::take(&mut self.checkpoints).into_keys() {
            self.find(seq, "was witnessed and is not in the log".to_owned());
        }
        self.report
    }
}
