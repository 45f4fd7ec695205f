//! Writes stock policies under the locks of their lanes.
//!
//! The lanes are taken without leases: a policy is written now and then, and changes no stock. Whoever holds a lane next
//! reads what was written here.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{LocationId, Sku, Violations};
use oms_postgres::{NewTask, idempotency, tasks};
use sqlx::PgConnection;

use crate::domain::account::Account;
use crate::domain::level::Level;
use crate::domain::policy::{Policy, StockPolicy};
use crate::domain::refusal::Refusal;
use crate::domain::told::{self, StockFact};
use crate::lanes::ALLOCATE_BACKORDERS;
use crate::store;
use crate::store::lanes::Lane;

use super::check_references::{Reference, check_references};
use super::tell_lanes::tell_lanes;
use super::{Call, Ctx, Error};

/// A policy to write.
#[derive(Debug, Clone)]
pub(crate) struct PolicyWrite {
    /// SKU.
    pub(crate) sku: Sku,
    /// Its rules from now on.
    pub(crate) policy: Policy,
    /// Version that must be there; `None` for whatever is.
    pub(crate) etag: Option<i64>,
}

type Stored = BTreeMap<Sku, StockPolicy>;

/// Refuses rules of locations that do not exist. `field` names a policy in the request.
pub(super) async fn check_locations(
    ctx: &Ctx,
    writes: &[PolicyWrite],
    field: impl Fn(usize) -> String,
) -> Result<(), Error> {
    let mut locations: Vec<Reference<'_, LocationId>> = Vec::new();
    let mut skus: Vec<Reference<'_, Sku>> = Vec::new();
    for (number, write) in writes.iter().enumerate() {
        let field = field(number);
        skus.push((format!("{field}.sku"), &write.sku));
        let ids = write.policy.locations.keys();
        locations.extend(ids.map(|id| (format!("{field}.locations"), id)));
    }
    check_references(ctx, &locations, &skus).await
}

/// Writes the policies, tells of them, and sees to it that demand is served that waits for what they set free. Answers
/// them as they are now, by SKU.
pub(super) async fn write_policies(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    writes: &[PolicyWrite],
    field: impl Fn(usize) -> String + Send,
) -> Result<Vec<StockPolicy>, Error> {
    let key = call.key();
    let skus: Vec<Sku> = writes.iter().map(|write| write.sku.clone()).collect();
    if idempotency::check(conn, &key).await?.is_none() {
        let lanes = store::lanes::lock(conn, &skus).await?;
        check_known(&lanes, writes, field)?;
        let before = store::policies::stored(conn, &skus).await?;
        let after = after(ctx, writes, &before)?;
        let facts = facts(conn, &lanes, &before, &after).await?;
        store::policies::write(conn, &after).await?;
        let marks = after.iter().map(|one| (&one.sku, !one.policy.is_empty()));
        store::lanes::mark_policies(conn, marks).await?;
        tell_lanes(conn, ctx, call, &lanes, &facts).await?;
        serve_waiting(conn, ctx, call, &before, &after).await?;
        idempotency::record(conn, &key, "").await?;
    }
    let stored = store::policies::stored(conn, &skus).await?;
    Ok(stored.into_values().collect())
}

fn check_known(
    lanes: &[Lane],
    writes: &[PolicyWrite],
    field: impl Fn(usize) -> String,
) -> Result<(), Refusal> {
    let known: BTreeSet<&Sku> = lanes.iter().map(|lane| &lane.sku).collect();
    let mut violations = Violations::default();
    for (number, PolicyWrite { sku, .. }) in writes.iter().enumerate() {
        violations.check(
            known.contains(sku),
            format!("{}.sku", field(number)),
            "SKU_UNKNOWN",
            format!("{sku} is not known"),
        );
    }
    violations.into_result().map_err(Refusal::Invalid)
}

/// The policies as they will be.
fn after(ctx: &Ctx, writes: &[PolicyWrite], before: &Stored) -> Result<Vec<StockPolicy>, Refusal> {
    let updated_at = ctx.clock.now();
    let after = writes.iter().map(|write| {
        let present = before.get(&write.sku).map_or(0, |one| one.version);
        let sku = write.sku.clone();
        if write.etag.is_some_and(|etag| etag != present) {
            return Err(Refusal::Stale { sku, present });
        }
        Ok(StockPolicy {
            sku,
            policy: write.policy.clone(),
            version: present + 1,
            updated_at,
        })
    });
    after.collect()
}

/// What the lanes tell of it.
async fn facts(
    conn: &mut PgConnection,
    lanes: &[Lane],
    before: &Stored,
    after: &[StockPolicy],
) -> Result<BTreeMap<Sku, Vec<StockFact>>, Error> {
    let policies = before.values().chain(after).map(|one| &one.policy);
    let places = policies
        .flat_map(|policy| policy.locations.keys().cloned())
        .collect();
    let skus: Vec<Sku> = after.iter().map(|one| one.sku.clone()).collect();
    let levels = store::levels::of(conn, &skus, Some(&places)).await?;
    let mut free: BTreeMap<(&Sku, &LocationId), i64> = BTreeMap::new();
    for Level { key, buckets } in &levels {
        *free.entry((&key.sku, &key.location)).or_default() += buckets.get(Account::Available);
    }
    let lanes: BTreeMap<&Sku, i64> = lanes
        .iter()
        .map(|lane| (&lane.sku, lane.available))
        .collect();
    let none = Policy::default();
    let mut facts = BTreeMap::new();
    for one in after {
        let was = before.get(&one.sku).map_or(&none, |stored| &stored.policy);
        let available = lanes.get(&one.sku).copied().unwrap_or(0);
        let told = told::of_policy(was, one, available, |location| {
            free.get(&(&one.sku, location)).copied().unwrap_or(0)
        });
        facts.insert(one.sku.clone(), told);
    }
    Ok(facts)
}

/// A task for each SKU of which less is kept back than before while demand waits for it.
async fn serve_waiting(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    before: &Stored,
    after: &[StockPolicy],
) -> Result<(), Error> {
    let loosened = after.iter().filter(|one| {
        let was = before.get(&one.sku);
        was.is_some_and(|was| one.policy.loosens(&was.policy))
    });
    let skus: Vec<Sku> = loosened.map(|one| one.sku.clone()).collect();
    if skus.is_empty() {
        return Ok(());
    }
    let (_, awaited) = store::reservations::waiting(conn, &skus, 1).await?;
    let new: Vec<NewTask> = awaited
        .iter()
        .map(|sku| NewTask {
            id: ctx.ids.next(),
            kind: ALLOCATE_BACKORDERS,
            key: sku.to_string(),
            payload: Vec::new(),
            run_at: ctx.clock.now(),
            actor: call.principal.to_string(),
        })
        .collect();
    tasks::insert_all(conn, &new).await?;
    Ok(())
}
