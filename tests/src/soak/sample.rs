//! What is looked at again and again: memory of every process, backlogs, sizes.

use std::collections::BTreeMap;

use oms::suite::SERVICES;
use sqlx::{FromRow, PgConnection};

use crate::nodes::{Nodes, PROVIDER};
use crate::provider::connect;

/// One look: value by name of series.
pub type Sample = BTreeMap<String, f64>;

/// A kind of series: the beginning of its name, its unit, and the growth that is never held against it; `None` is told only.
pub const KINDS: [(&str, &str, Option<f64>); 9] = [
    ("memory", "MiB", Some(8.0)),
    ("outbox", "events", Some(50.0)),
    ("outbox age", "s", Some(2.0)),
    ("tasks due", "tasks", Some(50.0)),
    ("tasks stuck", "tasks", Some(0.0)),
    ("feed lag", "events", Some(200.0)),
    ("sagas open", "sagas", Some(20.0)),
    ("deadlocks", "deadlocks", Some(0.0)),
    ("size", "MiB", None),
];

const PLUMBING: &str = "
    SELECT (SELECT count(*) FROM outbox)::float8 AS outbox,
        (SELECT coalesce(extract(epoch FROM now() - min(occurred_at)), 0) FROM outbox)::float8 AS outbox_age,
        (SELECT count(*) FROM tasks WHERE state = 'READY' AND run_at <= now())::float8 AS tasks_due,
        (SELECT count(*) FROM tasks WHERE state = 'STUCK')::float8 AS tasks_stuck,
        (SELECT max(pos) FROM feed_head)::float8 AS head,
        (SELECT deadlocks FROM pg_stat_database WHERE datname = current_database())::float8 AS deadlocks,
        pg_database_size(current_database())::float8 / 1048576 AS size_mib";
const CURSORS: &str = "SELECT source, min(pos)::float8 FROM feed_cursors GROUP BY source";
const SAGAS: &str = "SELECT count(*)::float8 FROM sagas WHERE state IN ('RUNNING', 'UNDOING')";

#[derive(FromRow)]
struct Plumbing {
    outbox: f64,
    outbox_age: f64,
    tasks_due: f64,
    tasks_stuck: f64,
    head: f64,
    deadlocks: f64,
    size_mib: f64,
}

/// Looks at the five services.
#[derive(Debug)]
pub struct Probe {
    databases: Vec<(&'static str, PgConnection)>,
    pids: Vec<(&'static str, u32)>,
}

impl Probe {
    /// Connects.
    ///
    /// # Errors
    /// When a database cannot be reached or a process does not run.
    pub async fn new(nodes: &Nodes) -> anyhow::Result<Self> {
        let mut databases = Vec::new();
        let mut pids = vec![(PROVIDER, nodes.pid(PROVIDER)?)];
        for (service, _) in SERVICES {
            let database = format!("oms_{service}");
            databases.push((
                service,
                connect(&nodes.engines.postgres_url(), &database).await?,
            ));
            pids.push((service, nodes.pid(service)?));
        }
        Ok(Self { databases, pids })
    }

    /// One look.
    ///
    /// # Errors
    /// When a database cannot be read.
    pub async fn look(&mut self) -> anyhow::Result<Sample> {
        let mut sample = Sample::new();
        let (mut heads, mut cursors) = (BTreeMap::new(), Vec::new());
        for (service, conn) in &mut self.databases {
            let seen: Plumbing = sqlx::query_as(PLUMBING).fetch_one(&mut *conn).await?;
            let values = [
                ("outbox", seen.outbox),
                ("outbox age", seen.outbox_age),
                ("tasks due", seen.tasks_due),
                ("tasks stuck", seen.tasks_stuck),
                ("deadlocks", seen.deadlocks),
                ("size", seen.size_mib),
            ];
            for (kind, value) in values {
                sample.insert(format!("{kind}, {service}"), value);
            }
            heads.insert((*service).to_owned(), seen.head);
            let read: Vec<(String, f64)> = sqlx::query_as(CURSORS).fetch_all(&mut *conn).await?;
            cursors.extend(read.into_iter().map(|(source, at)| (*service, source, at)));
            if *service == "order" {
                let open: f64 = sqlx::query_scalar(SAGAS).fetch_one(conn).await?;
                sample.insert("sagas open, order".to_owned(), open);
            }
        }
        for (service, source, at) in cursors {
            // Cursors are read after heads of some feeds and before those of others.
            let lag = heads.get(&source).map_or(0.0, |head| (head - at).max(0.0));
            sample.insert(format!("feed lag, {source} to {service}"), lag);
        }
        for (name, pid) in &self.pids {
            sample.insert(format!("memory, {name}"), resident_mib(*pid));
        }
        Ok(sample)
    }
}

/// Resident memory; 0 where there is no /proc.
fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// The kind of a series by its name.
pub fn kind(name: &str) -> (&'static str, Option<f64>) {
    let beginning = name.split(',').next().unwrap_or(name);
    let found = KINDS.iter().find(|(kind, ..)| *kind == beginning);
    found.map_or(("", None), |(_, unit, allowance)| (*unit, *allowance))
}
