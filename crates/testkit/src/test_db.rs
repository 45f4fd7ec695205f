//! A database of its own for every test, cloned from a migrated template.

use std::fmt::{Display, Write as _};
use std::future::Future;
use std::thread;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use uuid::Uuid;

use crate::wait::wait_for;

/// Set to keep the databases of failing tests, on a Postgres that outlives the run.
const KEEP_VAR: &str = "OMS_TEST_KEEP_DATABASES";

/// A database of one test. Dropping it removes it.
///
/// ```ignore
/// let key = template_key("order", &[&oms_postgres::MIGRATOR, &oms_order::MIGRATOR]);
/// let db = TestDb::create(&key, |url| async move { oms_order::migrate(&url).await }).await;
/// let pool = PgPool::connect(db.url()).await?;
/// ```
#[derive(Debug)]
pub struct TestDb {
    name: String,
    url: String,
    server_url: String,
}

impl TestDb {
    /// Clones the template that `key` names. If there is none yet, makes it by calling `migrate`
    /// with the address of an empty database; other tests and processes wait for that meanwhile.
    ///
    /// The key must change when the migrations do: see [`template_key`].
    ///
    /// # Panics
    /// When Postgres refuses, or `migrate` fails.
    pub async fn create<Migrate, Migrating, E>(key: &str, migrate: Migrate) -> Self
    where
        Migrate: FnOnce(String) -> Migrating,
        Migrating: Future<Output = Result<(), E>>,
        E: Display,
    {
        let server_url = crate::postgres_url().await;
        let mut server = connect(&server_url).await;
        let template = template_name(key);
        if !exists(&mut server, &template).await {
            make_template(&mut server, &server_url, &template, migrate).await;
        }
        let name = format!("test_{}", crate::unique());
        // Copying files beats replaying them through the log: the template is small.
        let clone = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
        execute(&mut server, clone).await;
        let url = database_url(&server_url, &name);
        Self {
            name,
            url,
            server_url,
        }
    }

    /// Its address, as superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection to it, for looking behind the back of the code under test.
    pub async fn connect(&self) -> PgConnection {
        connect(&self.url).await
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        if thread::panicking() && std::env::var_os(KEEP_VAR).is_some() {
            eprintln!("kept {}", self.url);
            return;
        }
        // Whoever still holds connections belongs to this test and is thrown out. If this fails,
        // the database goes with the engine.
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server_url = self.server_url.clone();
        // A thread, because a test's runtime cannot wait in a destructor.
        let worker = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                if let Ok(mut server) = PgConnection::connect(&server_url).await {
                    let _gone_with_the_engine = sqlx::raw_sql(AssertSqlSafe(drop))
                        .execute(&mut server)
                        .await;
                }
            });
        });
        let _failed = worker.join();
    }
}

/// A template key for these migrations: changes whenever one of them does.
pub fn template_key(name: &str, migrators: &[&Migrator]) -> String {
    let mut key = format!("{name} ");
    for migration in migrators.iter().flat_map(|migrator| migrator.iter()) {
        let _infallible = write!(key, "{}:", migration.version);
        for byte in migration.checksum.iter() {
            let _infallible = write!(key, "{byte:02x}");
        }
    }
    key
}

/// A database name with the first word of the key in it, for people, and a checksum of it all.
fn template_name(key: &str) -> String {
    let word = key.split_whitespace().next().unwrap_or_default();
    let word: String = word
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(20)
        .collect();
    let sum = Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes()).simple();
    format!("template_{}_{sum}", word.to_ascii_lowercase())
}

/// Makes the template once, whatever other tests do meanwhile. It gets its name when it is
/// complete, so that a template made by half is never used.
async fn make_template<Migrate, Migrating, E>(
    server: &mut PgConnection,
    server_url: &str,
    template: &str,
    migrate: Migrate,
) where
    Migrate: FnOnce(String) -> Migrating,
    Migrating: Future<Output = Result<(), E>>,
    E: Display,
{
    // Ends with the connection if the migration panics.
    sqlx::query("SELECT pg_advisory_lock(hashtextextended($1, 0))")
        .bind(template)
        .execute(&mut *server)
        .await
        .unwrap_or_else(|failure| panic!("lock of the template {template}: {failure}"));
    if !exists(server, template).await {
        let unfinished = format!("new_{template}");
        execute(
            server,
            format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"),
        )
        .await;
        execute(server, format!("CREATE DATABASE {unfinished}")).await;
        if let Err(failure) = migrate(database_url(server_url, &unfinished)).await {
            panic!("migration of the template {template}: {failure:#}");
        }
        close(server, &unfinished).await;
        execute(
            server,
            format!("ALTER DATABASE {unfinished} RENAME TO {template}"),
        )
        .await;
    }
    sqlx::query("SELECT pg_advisory_unlock(hashtextextended($1, 0))")
        .bind(template)
        .execute(&mut *server)
        .await
        .unwrap_or_else(|failure| panic!("lock of the template {template}: {failure}"));
}

/// Ends connections that the migration left open: nobody may be connected to what is cloned.
async fn close(server: &mut PgConnection, database: &str) {
    execute(
        server,
        format!("ALTER DATABASE {database} WITH ALLOW_CONNECTIONS false"),
    )
    .await;
    let server = tokio::sync::Mutex::new(server);
    wait_for("the template to have no connections", || async {
        let mut server = server.lock().await;
        let ended: Vec<bool> = sqlx::query_scalar(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
        )
        .bind(database)
        .fetch_all(&mut **server)
        .await
        .map_err(|failure| failure.to_string())?;
        if ended.is_empty() {
            Ok(())
        } else {
            Err(format!("{} connections", ended.len()))
        }
    })
    .await;
}

async fn exists(server: &mut PgConnection, database: &str) -> bool {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(database)
        .fetch_one(server)
        .await
        .unwrap_or_else(|failure| panic!("looking for the database {database}: {failure}"))
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url)
        .await
        .unwrap_or_else(|failure| panic!("{url}: {failure}"))
}

async fn execute(server: &mut PgConnection, statement: String) {
    // The names in it were made here.
    let result = sqlx::raw_sql(AssertSqlSafe(statement.clone()))
        .execute(server)
        .await;
    result.unwrap_or_else(|failure| panic!("{statement}: {failure}"));
}

fn database_url(server_url: &str, database: &str) -> String {
    let options: PgConnectOptions = server_url
        .parse()
        .unwrap_or_else(|failure| panic!("{server_url}: {failure}"));
    options.database(database).to_url_lossy().into()
}
