//! A store credit.

use crate::ctx::Ctx;
use crate::domain::credit::{Book, Credit};
use crate::error::Error;
use crate::store::credits;

/// The store credit with this code.
pub(crate) async fn get_store_credit(ctx: &Ctx, code: &str) -> Result<Credit, Error> {
    let mut conn = ctx.db.read().await?;
    let found = credits::load(&mut conn, Book::StoreCredit, code).await?;
    found.ok_or_else(|| Error::NotFound {
        resource: "store credit",
        id: code.to_owned(),
    })
}
