//! What tests of the services rely on, tried on the real engines.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oms_testkit::{
    Collector, RedisPrefix, TestDb, postgres_url, private_postgres, private_redis, redis_url,
    unique,
};
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

async fn migrate(url: String) -> Result<(), sqlx::Error> {
    let mut database = PgConnection::connect(&url).await?;
    sqlx::raw_sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .execute(&mut database)
        .await?;
    // Left open on purpose: forgotten connections must not spoil the template.
    std::mem::forget(database);
    Ok(())
}

async fn count(db: &TestDb) -> i64 {
    let mut connection = db.connect().await;
    sqlx::query_scalar("SELECT count(*) FROM orders")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_test_has_a_database_of_its_own() {
    let key = format!("orders {}", unique());
    let migrations = Arc::new(AtomicUsize::new(0));
    let tests: Vec<_> = (0..8)
        .map(|number| {
            let (key, migrations) = (key.clone(), Arc::clone(&migrations));
            tokio::spawn(async move {
                let db = TestDb::create(&key, |url| async move {
                    migrations.fetch_add(1, Ordering::SeqCst);
                    migrate(url).await
                })
                .await;
                let mut connection = db.connect().await;
                sqlx::query("INSERT INTO orders SELECT generate_series(1, $1)")
                    .bind(number)
                    .execute(&mut connection)
                    .await
                    .unwrap();
                assert_eq!(count(&db).await, i64::from(number));
                db
            })
        })
        .collect();
    let mut names = Vec::new();
    for test in tests {
        // The database must go even though a pool or a forgotten task still holds a connection.
        let db = test.await.unwrap();
        std::mem::forget(db.connect().await);
        names.push(db.name().to_owned());
    }
    assert_eq!(
        migrations.load(Ordering::SeqCst),
        1,
        "the template is made once"
    );

    let mut server = PgConnection::connect(&postgres_url().await).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = ANY($1)")
        .bind(&names)
        .fetch_one(&mut server)
        .await
        .unwrap();
    assert_eq!(left, 0, "databases go when their tests end");
}

#[tokio::test]
async fn a_failed_migration_leaves_no_template() {
    let key = format!("broken {}", unique());
    let broken = key.clone();
    let failed = tokio::spawn(async move {
        TestDb::create(&broken, |_url| async { Err("no such type") }).await;
    });
    let message = *failed
        .await
        .unwrap_err()
        .into_panic()
        .downcast::<String>()
        .unwrap();
    assert!(message.contains("no such type"), "{message}");
    let db = TestDb::create(&key, migrate).await;
    assert_eq!(count(&db).await, 0);
}

#[tokio::test]
async fn redis_answers_under_a_prefix() {
    let (mine, other) = (RedisPrefix::new(), RedisPrefix::new());
    assert_ne!(mine, other);
    let client = redis::Client::open(redis_url().await).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let set = redis::cmd("SET")
        .arg(mine.key("a"))
        .arg(1)
        .exec_async(&mut connection)
        .await;
    set.unwrap();
    let seen: Option<i64> = redis::cmd("GET")
        .arg(other.key("a"))
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(seen, None);
}

#[tokio::test]
async fn private_engines_can_be_broken() {
    let (postgres, redis) = tokio::join!(private_postgres(true), private_redis());
    assert_ne!(postgres.url(), postgres_url().await);
    assert_ne!(redis.url(), redis_url().await);
    let mut open = PgConnection::connect(&postgres.url()).await.unwrap();
    postgres.kill();
    redis.kill();
    assert!(open.ping().await.is_err());
    postgres.restart().unwrap();
    let mut again = PgConnection::connect(&postgres.url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe("SELECT 1"))
        .execute(&mut again)
        .await
        .unwrap();
}

// Several threads, because flushing blocks one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_collector_receives_what_is_exported() {
    let collector = Collector::start();
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(collector.endpoint())
        .build()
        .unwrap();
    let resource = opentelemetry_sdk::Resource::builder()
        .with_service_name("order")
        .build();
    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build();
    let mut span = provider.tracer("test").start("place_order");
    span.set_attribute(opentelemetry::KeyValue::new("lines", 3));
    span.add_event("committed", Vec::new());
    span.end();
    provider.force_flush().unwrap();

    let spans = collector
        .wait_for("one span", |spans| !spans.is_empty())
        .await;
    let [span] = &spans[..] else {
        unreachable!("one span was made: {spans:?}")
    };
    assert_eq!(
        (span.service.as_str(), span.name.as_str()),
        ("order", "place_order")
    );
    assert_eq!(span.attributes.get("lines").map(String::as_str), Some("3"));
    assert_eq!(span.events, ["committed"]);
    assert_eq!((span.trace_id.len(), span.span_id.len()), (32, 16));
    assert_eq!(span.parent_span_id, None);
    provider.shutdown().unwrap();
}
