//! Where batches are decided and written.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use oms_core::{Clock, IdSource, ReservationId, Sku};
use oms_postgres::Db;

use crate::domain::effect::Outcome;
use crate::store;
use crate::store::lanes::Fencing;

use super::Error;
use super::job::Job;
use super::transaction::{self, Undecided};

/// What came of the commands of a batch, in their order.
pub(super) type Answers = Vec<Result<Outcome, Error>>;

/// The books of stock and reservations. Postgres, or the model of it that the simulation breaks.
pub(super) trait Books: Send + Sync {
    /// Decides a batch in one transaction. Refused commands change nothing; the others commit together.
    fn decide<'a>(
        &'a self,
        jobs: &'a [Job],
        fencing: Option<&'a Fencing>,
    ) -> BoxFuture<'a, Result<Answers, Undecided>>;

    /// The SKUs of a reservation's rows; empty for what is not there.
    fn skus_of(&self, reservation: ReservationId) -> BoxFuture<'_, Result<BTreeSet<Sku>, Error>>;

    /// Up to `limit` reservations whose time has run out.
    fn due(&self, limit: i64) -> BoxFuture<'_, Result<Vec<ReservationId>, Error>>;
}

/// The service's database.
pub(super) struct PostgresBooks {
    pub(super) db: Db,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdSource>,
}

impl Books for PostgresBooks {
    fn decide<'a>(
        &'a self,
        jobs: &'a [Job],
        fencing: Option<&'a Fencing>,
    ) -> BoxFuture<'a, Result<Answers, Undecided>> {
        let name = match jobs {
            [only] => only.request.command.name(),
            _ => "decide_batch",
        };
        let (clock, ids) = (&*self.clock, &*self.ids);
        let mut as_new = transaction::may_be_new(jobs);
        let decided = self.db.run_tx(name, move |tx| {
            // What made the first attempt fail may be that it was not new.
            let as_new = std::mem::take(&mut as_new);
            let conn = tx.conn();
            Box::pin(transaction::decide(
                conn,
                jobs,
                fencing,
                as_new,
                (clock, ids),
            ))
        });
        decided.boxed()
    }

    fn skus_of(&self, reservation: ReservationId) -> BoxFuture<'_, Result<BTreeSet<Sku>, Error>> {
        async move {
            let mut conn = self.db.read().await?;
            Ok(store::reservations::skus_of(&mut conn, reservation).await?)
        }
        .boxed()
    }

    fn due(&self, limit: i64) -> BoxFuture<'_, Result<Vec<ReservationId>, Error>> {
        async move {
            let mut conn = self.db.read().await?;
            Ok(store::reservations::due(&mut conn, self.clock.now(), limit).await?)
        }
        .boxed()
    }
}
