//! Migrations of the plumbing and of the service, in one database with two tables of what was applied.

use sqlx::migrate::{Migrate, Migrator};
use sqlx::{Connection, PgConnection};

use crate::{Db, Error};

/// Where the plumbing writes down which of its migrations were applied (also in sqlx.toml).
const PLUMBING_TABLE: &str = "_plumbing_migrations";

/// The plumbing's migrations; [`migrate`] applies them. Public for the names of test templates.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// A migration could not be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The database could not be reached.
    #[error(transparent)]
    Database(#[from] Error),
    /// A migration failed, or an applied one was edited.
    #[error("migrations of {owner}: {source}")]
    Migration {
        /// `plumbing` or `service`.
        owner: &'static str,
        /// What went wrong.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
}

/// The schema is older than this program, or not ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The database could not be read.
    #[error(transparent)]
    Database(#[from] Error),
    /// Migrations are missing: run `migrate` first.
    #[error("the schema lacks migration {version} of {owner}: run migrate first")]
    Older {
        /// `plumbing` or `service`.
        owner: &'static str,
        /// First migration that is missing.
        version: i64,
    },
    /// A migration was edited after it was applied here.
    #[error("migration {version} of {owner} was applied with other content")]
    Edited {
        /// `plumbing` or `service`.
        owner: &'static str,
        /// The migration.
        version: i64,
    },
}

/// Brings the database to the schema of this program: first the plumbing, then the service.
///
/// Safe to run from several processes at once, and with an older program than the one that migrated
/// last, which changes nothing. DDL waits for locks no longer than `lock_timeout_ms`.
pub async fn migrate(db: &Db, service: &Migrator) -> Result<(), MigrateError> {
    let mut conn = db.dedicated().await?;
    run(&mut conn, service).await?;
    conn.close().await.map_err(Error::from)?;
    Ok(())
}

/// [`migrate`] for a database that nothing else is known of, such as a test's template.
pub async fn migrate_url(url: &str, service: &Migrator) -> Result<(), MigrateError> {
    let mut conn = PgConnection::connect(url).await.map_err(Error::from)?;
    run(&mut conn, service).await?;
    conn.close().await.map_err(Error::from)?;
    Ok(())
}

async fn run(conn: &mut PgConnection, service: &Migrator) -> Result<(), MigrateError> {
    for (owner, table, migrator) in sets(service) {
        // A program older than the schema must pass over migrations that it does not know.
        let mut tolerant = Migrator::with_migrations(migrator.iter().cloned().collect());
        tolerant.set_ignore_missing(true);
        tolerant.dangerous_set_table_name(table);
        tolerant
            .run_direct(None, conn, false)
            .await
            .map_err(|source| MigrateError::Migration { owner, source })?;
    }
    Ok(())
}

/// Refuses a database that lacks a migration of this program. A newer schema is accepted, since
/// migrations expand before they contract.
pub async fn schema_check(db: &Db, service: &Migrator) -> Result<(), SchemaError> {
    let mut conn = db.read().await?;
    for (owner, table, migrator) in sets(service) {
        let exists: bool = sqlx::query_scalar("select to_regclass($1) is not null")
            .bind(&table)
            .fetch_one(&mut *conn)
            .await
            .map_err(Error::from)?;
        let applied = if exists {
            conn.list_applied_migrations(&table)
                .await
                .map_err(|error| match error {
                    sqlx::migrate::MigrateError::Execute(error) => Error::from(error),
                    other => Error::from(sqlx::Error::Migrate(Box::new(other))),
                })?
        } else {
            Vec::new()
        };
        for migration in migrator
            .iter()
            .filter(|m| !m.migration_type.is_down_migration())
        {
            let version = migration.version;
            match applied.iter().find(|row| row.version == version) {
                None => return Err(SchemaError::Older { owner, version }),
                Some(row) if row.checksum != migration.checksum => {
                    return Err(SchemaError::Edited { owner, version });
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

fn sets(service: &Migrator) -> [(&'static str, String, &Migrator); 2] {
    [
        ("plumbing", PLUMBING_TABLE.to_owned(), &MIGRATOR),
        ("service", service.table_name.clone().into_owned(), service),
    ]
}
