//! `oms sandbox-psp`: the sandbox payment provider as a process of its own.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Context;
use oms_core::SystemClock;
use oms_sandbox_psp::{DATABASE, SandboxPsp, Webhook};
use oms_telemetry::TelemetryConfig;

use crate::cli::SandboxPspArgs;

/// Serves until Ctrl-C or SIGTERM.
pub(crate) async fn serve(args: &SandboxPspArgs) -> anyhow::Result<()> {
    let telemetry = oms_telemetry::start("sandbox-psp", &TelemetryConfig::default());
    let telemetry = telemetry.context("telemetry")?;
    let url = oms_sandbox_psp::create_database(&args.postgres_url)
        .await
        .with_context(|| format!("cannot make the database {DATABASE}"))?;
    let listener = TcpListener::bind(args.listen);
    let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
    let webhook = args.webhook_url.clone().map(|url| Webhook {
        url,
        secret: args.webhook_secret.clone(),
    });
    let clock = Arc::new(SystemClock);
    let provider = SandboxPsp::start(&url, listener, clock, webhook).await?;
    oms_service::cli::asked_to_end().await;
    provider.stop().await?;
    telemetry.shutdown().await;
    Ok(())
}
