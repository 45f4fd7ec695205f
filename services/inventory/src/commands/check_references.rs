//! Looks whether the locations of a request exist.

use std::collections::BTreeSet;

use oms_core::{LocationId, Sku, Violations};

use crate::domain::refusal::Refusal;
use crate::store;

use super::{Ctx, Error};

/// A reference in the body of a request: its field and what it names.
pub(super) type Reference<'a, T> = (String, &'a T);

/// Refuses references to locations that do not exist. Only then looks at the SKUs, too, so that the caller hears of
/// everything at once; otherwise the lanes find unknown SKUs by themselves.
pub(super) async fn check_references(
    ctx: &Ctx,
    locations: &[Reference<'_, LocationId>],
    skus: &[Reference<'_, Sku>],
) -> Result<(), Error> {
    let unseen = ctx.locations.unseen(locations.iter().map(|(_, id)| *id));
    if unseen.is_empty() {
        return Ok(());
    }
    let mut conn = ctx.db.read().await?;
    let asked: Vec<LocationId> = unseen.iter().map(|id| (*id).clone()).collect();
    let existing = store::locations::existing(&mut conn, &asked).await?;
    ctx.locations.see(&existing);
    let unknown = ctx.locations.unseen(locations.iter().map(|(_, id)| *id));
    if unknown.is_empty() {
        return Ok(());
    }
    let asked: BTreeSet<&Sku> = skus.iter().map(|(_, sku)| *sku).collect();
    let asked: Vec<Sku> = asked.into_iter().cloned().collect();
    let known = store::lanes::existing(&mut conn, &asked).await?;
    let mut violations = Violations::default();
    for (field, sku) in skus {
        let is_known = known.iter().any(|known| known == sku.as_str());
        violations.check(
            is_known,
            field,
            "SKU_UNKNOWN",
            format!("{sku} is not known"),
        );
    }
    for (field, id) in locations {
        let is_known = !unknown.contains(id);
        violations.check(
            is_known,
            field,
            "REFERENCE_UNKNOWN",
            format!("{id} is not known"),
        );
    }
    Err(Refusal::Invalid(violations).into())
}
