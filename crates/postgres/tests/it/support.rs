//! A database per test, and short words for what tests do often.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use oms_core::Clock;
use oms_postgres::audit::{Auditor, AuditorConfig};
use oms_postgres::outbox::{self, Attributes, NewEvent};
use oms_postgres::relay::{Relay, RelayConfig};
use oms_postgres::{Db, DbConfig, Error, NewTask, migrate_url};
use oms_testkit::{MockClock, SeqIds, TestDb, template_key};
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use uuid::Uuid;

/// A service that exists only here. Not by `migrate!`, which in this crate reads the plumbing's
/// sqlx.toml and so would write into its table.
pub(crate) static SERVICE: LazyLock<Migrator> = LazyLock::new(|| {
    Migrator::with_migrations(vec![Migration::new(
        1,
        Cow::Borrowed("accounts"),
        MigrationType::Simple,
        include_str!("../migrations/0001_accounts.sql").into_sql_str(),
        false,
    )])
});

/// A migrated database and a pool on it.
pub(crate) struct Fixture {
    pub(crate) db: Db,
    pub(crate) clock: MockClock,
    pub(crate) test_db: TestDb,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let key = template_key("plumbing", &[&oms_postgres::MIGRATOR, &SERVICE]);
        let test_db =
            TestDb::create(&key, |url| async move { migrate_url(&url, &SERVICE).await }).await;
        let clock = MockClock::new();
        let db = connect(&test_db, &clock).await;
        Self { db, clock, test_db }
    }

    /// Another process on the same database.
    pub(crate) async fn another(&self) -> Db {
        connect(&self.test_db, &self.clock).await
    }

    pub(crate) fn relay(&self) -> Relay {
        Relay::new(self.db.clone(), RelayConfig::default())
    }

    pub(crate) fn auditor(&self) -> Auditor {
        Auditor::new(self.db.clone(), AuditorConfig::default())
    }

    /// One number from a query.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        let mut conn = self.test_db.connect().await;
        sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        let mut conn = self.test_db.connect().await;
        sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    }

    pub(crate) fn task(&self, number: u64, kind: &'static str) -> NewTask {
        NewTask {
            id: SeqIds::nth(number),
            kind,
            key: format!("order-{number}"),
            payload: vec![1, 2, 3],
            run_at: self.clock.now(),
            actor: "user:alice".to_owned(),
        }
    }

    pub(crate) fn event(&self, aggregate_id: &str, version: i64) -> NewEvent {
        NewEvent {
            event_id: Uuid::new_v5(
                &Uuid::NAMESPACE_OID,
                format!("{aggregate_id}/{version}").as_bytes(),
            ),
            aggregate_type: "order",
            aggregate_id: aggregate_id.to_owned(),
            aggregate_version: version,
            event_type: "OrderPlaced",
            payload: vec![7; 3],
            actor: "user:alice".to_owned(),
            occurred_at: self.clock.now(),
            attributes: Attributes::default(),
        }
    }

    /// Commits these events and moves them to the feed.
    pub(crate) async fn publish(&self, events: Vec<NewEvent>) {
        let events = &events;
        self.db
            .run_tx("publish", |tx| {
                Box::pin(async move { outbox::append_all(tx, events).await })
            })
            .await
            .unwrap();
        self.relay().drain().await.unwrap();
    }

    pub(crate) async fn insert_task(&self, task: NewTask) -> bool {
        let task = &task;
        self.db
            .run_tx("insert_task", |tx| {
                Box::pin(async move { oms_postgres::tasks::insert(tx, task).await })
            })
            .await
            .unwrap()
    }
}

async fn connect(test_db: &TestDb, clock: &MockClock) -> Db {
    let config = DbConfig::new(test_db.url(), "test");
    Db::connect(&config, Arc::new(clock.clone())).await.unwrap()
}

/// What a service would have: an error of its own that keeps nothing of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error("not enough")]
    NotEnough,
    #[error("database")]
    Database,
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        match error.constraint() {
            Some("accounts_balance_not_negative") => Self::NotEnough,
            _ => Self::Database,
        }
    }
}
