//! The command line.

use oms_service::cli::run_with;

use crate::probe::{MIGRATOR, Probe};
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
        "listen = \"0.0.0.0:0\"\n[telemetry]\nfilter = \"=x=\"",
    ] {
        std::fs::write(file, wrong).unwrap();
        assert_eq!(exit_code(&["serve", "--config", file]), 64, "{wrong}");
    }
    std::fs::write(file, "listen = \"0.0.0.0:0\"").unwrap();
    assert_eq!(exit_code(&["check-config", "--config", file]), 0);
    assert_eq!(
        exit_code(&["check-config", "--config", file, "--insecure-dev"]),
        64
    );
    assert_eq!(exit_code(&["print-defaults"]), 0);
    assert_eq!(exit_code(&["--help"]), 0);
}

#[test]
fn a_database_without_schema_is_refused_until_migrated() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(database());
    let drop_all = "drop schema public cascade; create schema public";
    runtime.block_on(async {
        let mut conn = database.connect().await;
        sqlx::raw_sql(drop_all).execute(&mut conn).await.unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("order.toml");
    std::fs::write(&file, format!("[database]\nurl = {:?}", database.url())).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(exit_code(&["serve", "--config", file]), 1);
    drop(runtime);
    assert_eq!(MIGRATOR.iter().count(), 1);
}
