//! `oms up`: the whole suite on one machine until Ctrl-C.

use anyhow::Context;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use oms_telemetry::TelemetryConfig;

use crate::cli::UpArgs;
use crate::suite::{Suite, SuiteConfig};

/// Starts everything, prints where it is, and stops it at Ctrl-C or SIGTERM.
pub(crate) async fn up(args: &UpArgs) -> anyhow::Result<()> {
    // The table of endpoints should stay in sight, so only warnings are told; RUST_LOG=info tells more.
    let calm = TelemetryConfig {
        filter: "warn".to_owned(),
        ..TelemetryConfig::default()
    };
    let telemetry = oms_telemetry::start("oms", &calm).context("telemetry")?;
    let mut engines = args.engines.config(args.ephemeral);
    engines.progress = oms_engines::to_stderr();
    let mut config = SuiteConfig::new(engines);
    config.fixed_ports = true;
    let result = tokio::select! {
        started = Suite::start(config) => match started {
            Ok(suite) => serve(suite, args.ephemeral).await,
            Err(error) => Err(error),
        },
        // Engines that were started already end with this process.
        () = oms_service::cli::asked_to_end() => Ok(()),
    };
    telemetry.shutdown().await;
    result
}

async fn serve(suite: Suite, ephemeral: bool) -> anyhow::Result<()> {
    print_endpoints(&suite, ephemeral);
    oms_service::cli::asked_to_end().await;
    suite.stop().await
}

#[expect(
    clippy::print_stdout,
    reason = "the table of endpoints is the command's result"
)]
fn print_endpoints(suite: &Suite, ephemeral: bool) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "service",
        "gRPC, grpc-web, health, reflection, feed",
        "admin",
    ]);
    for service in &suite.services {
        let admin = format!("http://{}/metrics", service.admin_addr);
        table.add_row([service.name.to_owned(), service.url(), admin]);
    }
    let provider = suite.provider.url();
    table.add_row(["sandbox-psp", &format!("{provider} (HTTP)"), ""]);
    table.add_row(["postgres", &suite.engines.postgres_url(), ""]);
    table.add_row(["redis", &suite.engines.redis_url(), ""]);
    println!("{table}");
    let data = if ephemeral {
        "forgotten at the end"
    } else {
        "kept"
    };
    println!("data are {data}; callers name themselves by the header oms-principal; Ctrl-C stops");
}
