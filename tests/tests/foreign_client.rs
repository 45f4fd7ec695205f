//! A client in another language: Python and grpcio, from proto/ alone, against a running suite.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, ensure};
use oms_tests::suite::TestSuite;
use tokio::process::Command;

/// The workspace.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// An interpreter that has grpcio: `OMS_PYTHON_GRPC`, or one that `scripts/tools.sh` makes below `.tools/`.
/// Where it cannot be had, that says how to get it, and the test fails.
async fn python() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("OMS_PYTHON_GRPC") {
        return Ok(path.into());
    }
    let made = Command::new(root().join("scripts/tools.sh"))
        .arg("python-grpc")
        .stdin(Stdio::null())
        .output()
        .await
        .context("scripts/tools.sh cannot be run")?;
    ensure!(
        made.status.success(),
        "no Python with grpcio: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let path = String::from_utf8(made.stdout)?;
    Ok(path.trim().into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_program_places_reads_and_lists_an_order() -> anyhow::Result<()> {
    let python = python().await?;
    let suite = TestSuite::start().await?;
    let address = |service: &str| -> anyhow::Result<String> {
        let url = suite.suite.url(service)?;
        Ok(url.trim_start_matches("http://").to_owned())
    };
    // Twice: what the first run has left must not be in the way of the second.
    for _ in 0..2 {
        let run = Command::new(&python)
            .arg(root().join("tests/foreign/place_get_list.py"))
            .args(["--address", &address("order")?])
            .args(["--inventory", &address("inventory")?])
            .stdin(Stdio::null())
            .output()
            .await
            .context("Python cannot be run")?;
        let (out, err) = (
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr),
        );
        ensure!(run.status.success(), "{out}\n{err}");
        ensure!(out.contains("done: order PY-"), "{out}");
    }
    suite.finish().await
}
