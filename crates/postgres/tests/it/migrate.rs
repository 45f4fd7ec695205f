use std::borrow::Cow;

use oms_postgres::{MIGRATOR, SchemaError, migrate, schema_check};
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::support::{Fixture, SERVICE};

/// The service's migrations and one more, as a newer release has them.
fn newer() -> Migrator {
    let mut migrations: Vec<Migration> = SERVICE.iter().cloned().collect();
    migrations.push(Migration::new(
        2,
        Cow::Borrowed("notes"),
        MigrationType::Simple,
        sqlx::SqlSafeStr::into_sql_str("create table notes (id bigint)"),
        false,
    ));
    Migrator::with_migrations(migrations)
}

#[tokio::test]
async fn migrations_of_plumbing_and_service_live_side_by_side() {
    let fixture = Fixture::new().await;
    schema_check(&fixture.db, &SERVICE).await.unwrap();
    migrate(&fixture.db, &SERVICE).await.unwrap();
    let plumbing = fixture
        .number("select count(*) from _plumbing_migrations")
        .await;
    assert_eq!(usize::try_from(plumbing).unwrap(), MIGRATOR.iter().count());
    assert_eq!(
        fixture
            .number("select count(*) from _sqlx_migrations")
            .await,
        1
    );
}

#[tokio::test]
async fn an_older_schema_is_refused_and_a_newer_one_accepted() {
    let fixture = Fixture::new().await;
    let newer = newer();
    let refused = schema_check(&fixture.db, &newer).await.unwrap_err();
    assert!(
        matches!(
            refused,
            SchemaError::Older {
                owner: "service",
                version: 2
            }
        ),
        "{refused}"
    );

    migrate(&fixture.db, &newer).await.unwrap();
    schema_check(&fixture.db, &newer).await.unwrap();
    // The older release goes on beside it, and its `migrate` changes nothing.
    schema_check(&fixture.db, &SERVICE).await.unwrap();
    migrate(&fixture.db, &SERVICE).await.unwrap();
    assert_eq!(
        fixture
            .number("select count(*) from _sqlx_migrations")
            .await,
        2
    );
}

#[tokio::test]
async fn a_database_that_was_never_migrated_is_refused() {
    let fixture = Fixture::new().await;
    fixture.execute("drop table _plumbing_migrations").await;
    let refused = schema_check(&fixture.db, &SERVICE).await.unwrap_err();
    assert!(
        matches!(
            refused,
            SchemaError::Older {
                owner: "plumbing",
                version: 1
            }
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    let fixture = Fixture::new().await;
    fixture
        .execute("update _sqlx_migrations set checksum = '\\x00'")
        .await;
    let refused = schema_check(&fixture.db, &SERVICE).await.unwrap_err();
    assert!(
        matches!(
            refused,
            SchemaError::Edited {
                owner: "service",
                version: 1
            }
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn two_processes_may_migrate_at_once() {
    let fixture = Fixture::new().await;
    let newer = newer();
    let (one, other) = tokio::join!(migrate(&fixture.db, &newer), migrate(&fixture.db, &newer));
    one.unwrap();
    other.unwrap();
}
