//! Reads of several statements that see one moment.

use std::fmt;
use std::ops::{Deref, DerefMut};

use sqlx::{PgConnection, Postgres, Transaction};

use crate::{Db, Error, tx};

const BEGIN: &str = "begin isolation level repeatable read read only";

/// A read-only transaction. Dereferences to its connection; ends when it is dropped.
pub struct Snapshot {
    inner: Transaction<'static, Postgres>,
}

impl Deref for Snapshot {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Snapshot {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl Db {
    /// A connection whose statements all see the database as it was at the first of them, so that a page of a
    /// list and what stands on it, read one after the other, belong together. What needs one statement only is cheaper with [`Db::read`].
    ///
    /// Hold it for reading alone: Postgres keeps old rows for its sake.
    ///
    /// # Errors
    /// [`Error::Nested`] inside of `run_tx`: read on the transaction's connection there.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        match self.begin_snapshot().await {
            // The connection died while it was idle; another one may live.
            Err(Error::Unavailable { .. }) => self.begin_snapshot().await,
            begun => begun,
        }
    }

    async fn begin_snapshot(&self) -> Result<Snapshot, Error> {
        let conn = self.acquire("snapshot").await?;
        let inner = tx::begin(conn, Some(BEGIN)).await?;
        Ok(Snapshot { inner })
    }
}
