//! An account on terms.

use crate::ctx::Ctx;
use crate::domain::credit::{Book, Credit};
use crate::error::Error;
use crate::store::credits;

/// The account with this reference.
pub(crate) async fn get_credit_account(ctx: &Ctx, reference: &str) -> Result<Credit, Error> {
    let mut conn = ctx.db.read().await?;
    let found = credits::load(&mut conn, Book::Terms, reference).await?;
    found.ok_or_else(|| Error::NotFound {
        resource: "credit account",
        id: reference.to_owned(),
    })
}
