//! The verifier: what must be true of the five databases. It has SQL of its own and shares no code with the
//! services, so that a defect of theirs cannot hide from it.
//!
//! | module | what it is |
//! |---|---|
//! | [`stock`], [`money`], [`flow`], [`shipping`], [`returns`], [`events`], [`audit`], [`privacy`], [`webhooks`], [`liveness`] | invariants of one database |
//! | [`relations`] | invariants between databases |
//! | [`under_way`] | the orders that relations do not judge, as something about them moves |
//! | [`provider`] | the payment provider's ledger against our payments |
//! | [`snapshot`], [`facts`] | what is read |
//! | [`rest`] | waits until nothing moves |
//! | [`alone`] | one database by itself |
//! | [`watch`] | again and again, with metrics |
//!
//! Each database is read in one snapshot, all five at the same time; they have no common moment.

mod alone;
mod audit;
mod events;
mod facts;
mod flow;
mod invariant;
mod liveness;
mod money;
mod privacy;
mod provider;
mod relations;
mod rest;
mod returns;
mod server;
mod shipping;
mod snapshot;
mod stock;
mod under_way;
mod watch;
mod webhooks;

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use futures::future::try_join_all;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cli::VerifyArgs;
pub(crate) use alone::check_alone;
use facts::{Facts, Feed, OfDatabase};
pub use invariant::{Database, Invariant};
use invariant::{Relation, Test};
pub use server::Databases;
pub(crate) use server::of_folder as server_of_folder;
use snapshot::{EXAMPLES, Found, Snapshot};
pub use watch::{Watch, watch};

/// What the verifier found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    /// One entry per invariant.
    pub invariants: Vec<Finding>,
}

/// How often one invariant is violated.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Name of the invariant, such as `stock.bucket_equals_ledger`.
    pub name: &'static str,
    /// What it says, for people.
    pub says: &'static str,
    /// Rows or relations that were looked at.
    pub checked: u64,
    /// Violations.
    pub violations: u64,
    /// Some of the violations, for people.
    pub examples: Vec<String>,
    /// Why it was not judged, if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<&'static str>,
}

/// Every invariant, in the order in which they are told.
pub fn invariants() -> impl Iterator<Item = &'static Invariant> {
    [
        stock::ALL,
        money::ALL,
        provider::ALL,
        flow::ALL,
        shipping::ALL,
        returns::ALL,
        relations::ALL,
        events::ALL,
        audit::ALL,
        privacy::ALL,
        webhooks::ALL,
        liveness::ALL,
    ]
    .into_iter()
    .flatten()
}

impl Verdict {
    /// Violations over all invariants.
    pub fn violations(&self) -> u64 {
        self.invariants
            .iter()
            .map(|finding| finding.violations)
            .sum()
    }

    /// One line per invariant, with examples of what violates it.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["invariant", "checked", "violations"]);
        for finding in &self.invariants {
            let mut name = finding.name.to_owned();
            if finding.violations > 0 {
                name = format!("{name}\n  {}", finding.says);
            }
            if let Some(why) = finding.skipped {
                name = format!("{name}\n  skipped: {why}");
            }
            for example in &finding.examples {
                name = format!("{name}\n  - {example}");
            }
            table.add_row([
                name,
                finding.checked.to_string(),
                finding.violations.to_string(),
            ]);
        }
        for column in [1, 2] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    /// The verdict in a sentence.
    pub fn sentence(&self) -> String {
        let violated: Vec<String> = self
            .invariants
            .iter()
            .filter(|finding| finding.violations > 0)
            .map(|finding| format!("{} ({})", finding.name, finding.violations))
            .collect();
        let skipped = self
            .invariants
            .iter()
            .filter(|finding| finding.skipped.is_some())
            .count();
        let mut sentence = format!(
            "{} invariants checked, {} violations",
            self.invariants.len() - skipped,
            self.violations()
        );
        if skipped > 0 {
            sentence = format!("{sentence}, {skipped} invariants skipped");
        }
        if violated.is_empty() {
            return sentence;
        }
        format!("{sentence}: {}", violated.join(", "))
    }
}

/// Checks the databases of a Postgres server. `at_rest` waits until nothing is under way and then judges everything;
/// otherwise what moves is left out: relations between services are judged only where neither side has changed for a
/// minute.
///
/// # Errors
/// When a database cannot be read.
pub async fn run(postgres_url: &str, at_rest: bool) -> anyhow::Result<Verdict> {
    run_on(&Databases::on_server(postgres_url)?, at_rest).await
}

async fn run_on(databases: &Databases, at_rest: bool) -> anyhow::Result<Verdict> {
    if at_rest {
        rest::wait(databases).await?;
    }
    check(databases, at_rest).await
}

/// Checks databases as they are now. `at_rest` judges everything, as nothing should be under way.
///
/// # Errors
/// When a database cannot be read.
pub async fn check(databases: &Databases, at_rest: bool) -> anyhow::Result<Verdict> {
    let charges = provider::read(databases).await?;
    let open = Database::ALL.map(|database| Snapshot::open(databases, database));
    let mut snapshots = try_join_all(open).await?;
    let on_their_way = if at_rest {
        HashSet::new()
    } else {
        under_way::orders(&mut snapshots).await?
    };
    let places: Vec<Vec<i64>> = Database::ALL
        .iter()
        .map(|source| places_in(*source, &snapshots))
        .collect();
    let work = snapshots
        .into_iter()
        .zip(places)
        .map(|(snapshot, places)| read(snapshot, places, at_rest, &on_their_way));
    let mut parts = try_join_all(work).await?;
    let mut facts = Facts {
        at_rest,
        charges,
        ..Facts::default()
    };
    for part in &mut parts {
        // After all snapshots, so that no consumer's place was read later than the end of the feed.
        let head = part.snapshot.end().await?;
        let feed = Feed {
            head,
            cursors: std::mem::take(&mut part.snapshot.cursors),
            late_after: std::mem::take(&mut part.late_after),
        };
        facts.take(
            part.snapshot.database,
            feed,
            std::mem::take(&mut part.facts),
        );
    }
    let findings = invariants()
        .enumerate()
        .map(|(place, invariant)| judge(place, invariant, &parts, &facts, &on_their_way));
    Ok(Verdict {
        invariants: findings.collect(),
    })
}

/// What was read of one database.
struct Part {
    snapshot: Snapshot,
    /// By the invariant's place in the list.
    found: Vec<(usize, Found)>,
    late_after: Vec<i64>,
    facts: OfDatabase,
}

/// Places of consumers in a service's feed.
fn places_in(source: Database, snapshots: &[Snapshot]) -> Vec<i64> {
    let cursors = snapshots.iter().flat_map(|snapshot| &snapshot.cursors);
    let own = cursors.filter(|cursor| cursor.source == source.service());
    // The beginning stands for a consumer that has not read yet.
    let places: BTreeSet<i64> = own.map(|cursor| cursor.pos).chain([0]).collect();
    places.into_iter().collect()
}

async fn read(
    mut snapshot: Snapshot,
    places: Vec<i64>,
    at_rest: bool,
    on_their_way: &HashSet<Uuid>,
) -> anyhow::Result<Part> {
    let mut found = Vec::new();
    for (place, invariant) in invariants().enumerate() {
        if let Test::Rows(rows) = &invariant.test
            && rows.databases.contains(&snapshot.database)
        {
            found.push((place, snapshot.find(rows, at_rest, on_their_way).await?));
        }
    }
    let late_after = facts::late_after(&mut snapshot.conn, &places).await?;
    let facts = facts::read(&mut snapshot.conn, snapshot.database).await?;
    Ok(Part {
        snapshot,
        found,
        late_after,
        facts,
    })
}

fn judge(
    place: usize,
    invariant: &Invariant,
    parts: &[Part],
    facts: &Facts,
    on_their_way: &HashSet<Uuid>,
) -> Finding {
    let mut finding = Finding {
        name: invariant.name,
        says: invariant.says,
        checked: 0,
        violations: 0,
        examples: Vec::new(),
        skipped: None,
    };
    match invariant.test {
        Test::Rows(_) => {
            let found = parts.iter().flat_map(|part| &part.found);
            for (_, found) in found.filter(|(of, _)| *of == place) {
                finding.checked += found.checked;
                finding.violations += found.violations;
                finding.examples.extend(found.examples.iter().cloned());
            }
        }
        Test::Relation(compare) => {
            let Relation {
                checked,
                mut violations,
                skipped,
            } = compare(facts);
            violations.retain(|one| !one.order.is_some_and(|order| on_their_way.contains(&order)));
            finding.checked = checked;
            finding.skipped = skipped;
            finding.violations = violations.len() as u64;
            finding.examples = violations.into_iter().map(|one| one.what).collect();
        }
    }
    finding.examples.truncate(EXAMPLES);
    finding
}

/// `oms verify`; true when nothing is violated.
#[expect(clippy::print_stdout, reason = "the verdict is the command's result")]
pub(crate) async fn command(args: &VerifyArgs) -> anyhow::Result<bool> {
    let databases = match &args.postgres_url {
        Some(url) => Databases::on_server(url)?,
        None => match Databases::of_environment(|name| std::env::var(name).ok())? {
            Some(databases) => databases,
            None => Databases::on_server(&server::of_folder(&args.dir)?)?,
        },
    };
    if args.watch {
        let how = Watch {
            every: Duration::from_secs(args.every),
            metrics_listen: args.metrics_listen.clone(),
            json: args.json,
        };
        let stop = CancellationToken::new();
        let asked = stop.clone();
        tokio::spawn(async move {
            oms_service::cli::asked_to_end().await;
            asked.cancel();
        });
        return watch(&databases, &how, &stop).await;
    }
    let verdict = run_on(&databases, args.at_rest).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&verdict)?);
    } else {
        println!("{}", verdict.table());
        println!("{}", verdict.sentence());
    }
    Ok(verdict.violations() == 0)
}
