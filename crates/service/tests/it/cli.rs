//! The command line.

use oms_postgres::cursor::{self, Cursor};
use oms_postgres::feed;
use oms_service::cli::run_with;
use oms_service::{AnyProgram, Layers, Runtime, StartError};

use crate::probe::Probe;
use crate::support::database;

fn exit_code(args: &[&str]) -> u8 {
    run_with(&Probe, ["oms-order"].iter().chain(args))
}

#[test]
fn a_bad_command_line_or_configuration_is_64() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("order.toml");
    let file = file.to_str().unwrap();
    assert_eq!(exit_code(&["dance"]), 64);
    assert_eq!(exit_code(&["serve", "--config", file]), 64);
    for wrong in [
        "lisen = 1",
        "[database]\nurl = \"\"",
        "insecure_dev = true\nlisten = \"0.0.0.0:0\"",
        "listen = \"0.0.0.0:0\"",
        "[auth.roles]\ncsr = [\"orders.raed\"]",
        "listen = \"127.0.0.1:0\"\n[telemetry]\nfilter = \"=x=\"",
    ] {
        std::fs::write(file, wrong).unwrap();
        assert_eq!(exit_code(&["serve", "--config", file]), 64, "{wrong}");
    }
    std::fs::write(
        file,
        "listen = \"0.0.0.0:0\"\ntls.terminated_by_proxy = true",
    )
    .unwrap();
    assert_eq!(exit_code(&["check-config", "--config", file]), 0);
    assert_eq!(
        exit_code(&["check-config", "--config", file, "--insecure-dev"]),
        64
    );
    assert_eq!(exit_code(&["print-defaults"]), 0);
    assert_eq!(exit_code(&["--help"]), 0);
}

#[tokio::test]
async fn a_database_without_schema_is_refused_until_migrated() {
    let database = database().await;
    let drop_all = "drop schema public cascade; create schema public";
    let mut conn = database.connect().await;
    sqlx::raw_sql(drop_all).execute(&mut conn).await.unwrap();
    let layers = Layers::of_text(format!("[database]\nurl = {:?}", database.url()));
    let start = async || Probe.start(&layers, Runtime::default()).await;
    let error = start().await.unwrap_err();
    assert!(matches!(error, StartError::Schema(_)), "{error}");
    assert!(error.to_string().contains("migrate"), "{error}");
    Probe.migrate(&layers).await.unwrap();
    start().await.unwrap().shutdown().await.unwrap();

    // In development it is migrated at the start.
    sqlx::raw_sql(drop_all).execute(&mut conn).await.unwrap();
    let handle = crate::support::start(&database, "").await.unwrap();
    handle.shutdown().await.unwrap();
}

#[tokio::test]
async fn after_a_restore_the_feed_has_another_epoch_and_a_consumer_reads_it_anew() {
    let database = database().await;
    let layers = Layers::of_text(format!("[database]\nurl = {:?}", database.url()));
    let mut conn = database.connect().await;
    let before = feed::head(&mut conn).await.unwrap().epoch;
    let after = Probe.new_epoch(&layers).await.unwrap();
    assert_ne!(after, before);
    assert_eq!(feed::head(&mut conn).await.unwrap().epoch, after);

    let cursor = Cursor {
        epoch: before,
        pos: 7,
    };
    cursor::reset(&mut conn, "order", "inventory", cursor)
        .await
        .unwrap();
    assert!(Probe.resync(&layers, "inventory").await.unwrap());
    assert!(!Probe.resync(&layers, "inventory").await.unwrap());
    let cursor = cursor::get(&mut conn, "order", "inventory").await.unwrap();
    assert_eq!(cursor, None);
}
