//! Clients in another language: Python and grpcio, from proto/ alone, against a running suite.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, ensure};
use oms_proto::events::v1::GetHeadRequest;
use oms_proto::order::v1::{
    CreateWebhookEndpointRequest, UpdateWebhookEndpointRequest, WebhookEndpoint,
};
use oms_tests::fresh_id;
use oms_tests::shop::new_order;
use oms_tests::suite::TestSuite;
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
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

/// Places confirmed orders.
async fn place(suite: &TestSuite, count: usize) -> anyhow::Result<()> {
    for _ in 0..count {
        suite.place(new_order(&[("a", 1)])).await?;
    }
    Ok(())
}

/// Head of the feed of the order service.
async fn head(suite: &TestSuite) -> anyhow::Result<i64> {
    let head = suite
        .clients
        .order_feed()
        .get_head(GetHeadRequest {})
        .await?;
    Ok(head.into_inner().pos)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_program_follows_a_feed_and_survives_being_killed() -> anyhow::Result<()> {
    let python = python().await?;
    let suite = TestSuite::start().await?;
    suite.set_up(&["a"]).await?;
    suite.receive("west", "a", 100).await?;
    place(&suite, 6).await?;
    let address = suite.suite.url("order")?;
    let mut client = Command::new(&python);
    client
        .arg(root().join("tests/foreign/follow_feed.py"))
        .args(["--address", address.trim_start_matches("http://")])
        .arg("--db")
        .arg(suite.suite.engines.dir().join("mirror.sqlite"))
        .args(["--batch-size", "1"])
        .stdin(Stdio::null())
        .kill_on_drop(true);

    // Killed while it applies: an event per transaction, and orders go on coming.
    let mut first = client.stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(first.stdout.take().context("its output")?).lines();
    for expected in 1..=7 {
        let line = lines.next_line().await?.context("it ended")?;
        ensure!(line == format!("through position {expected}"), "{line}");
    }
    first.kill().await?;
    place(&suite, 4).await?;

    // At rest every event is in the feed.
    suite.verify().await?;
    let least = head(&suite).await?;
    for _ in 0..2 {
        let run = client.arg("--until-head").output().await?;
        let (out, err) = (
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr),
        );
        ensure!(run.status.success(), "{out}\n{err}");
        // Positions are dense: as many events as positions means none missed and none twice.
        let last = out.lines().last().unwrap_or_default();
        let position = last.strip_prefix("done: position ");
        let (position, rest) = position
            .and_then(|rest| rest.split_once(", "))
            .context(last.to_owned())?;
        ensure!(
            position.parse::<i64>()? >= least,
            "{last}, and the head was {least}"
        );
        ensure!(
            rest.starts_with(&format!("{position} events of ")),
            "{last}"
        );
        ensure!(rest.ends_with(", 10 orders"), "{last}");
    }
    suite.verify().await?;

    // As a restore leaves it: the position means nothing any more, and the client says so instead of going on.
    let url = suite.suite.engines.database_url("oms_order");
    let mut conn = PgConnection::connect(&url).await?;
    sqlx::query("update feed_head set epoch = gen_random_uuid()")
        .execute(&mut conn)
        .await?;
    place(&suite, 1).await?;
    let run = client.output().await?;
    let err = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.code() == Some(3), "{err}");
    ensure!(err.contains("another epoch"), "{err}");
    suite.suite.stop().await
}

/// What docs/webhooks.md tells receivers to do is what the receiver does that is tested here.
#[test]
fn receivers_are_told_what_works() -> anyhow::Result<()> {
    let page = std::fs::read_to_string(root().join("docs/webhooks.md"))?;
    let told = page.split("```python\n").nth(1).context("an example")?;
    let told = told.split("```").next().context("its end")?;
    let program = std::fs::read_to_string(root().join("tests/foreign/receive_webhooks.py"))?;
    ensure!(program.contains(told), "the page says something else");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_program_receives_webhooks_and_takes_no_forged_ones() -> anyhow::Result<()> {
    let python = python().await?;
    let suite = TestSuite::start().await?;
    suite.set_up(&["a"]).await?;
    suite.receive("west", "a", 100).await?;
    // The receiver wants the secret, and the endpoint the receiver's port: it is put right below.
    let request = CreateWebhookEndpointRequest {
        request_id: fresh_id(),
        url: "http://127.0.0.1:9/hooks".to_owned(),
        event_types: vec!["OrderPlaced".to_owned()],
        ..CreateWebhookEndpointRequest::default()
    };
    let mut webhooks = suite.clients.webhooks();
    let created = webhooks.create_webhook_endpoint(request);
    let created = created.await?.into_inner();
    let mut receiver = Command::new(&python)
        .arg(root().join("tests/foreign/receive_webhooks.py"))
        .args(["--port", "0"])
        .env("WEBHOOK_SECRET", created.secret)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(receiver.stdout.take().context("its output")?).lines();
    let line = lines.next_line().await?.context("it ended")?;
    let port = line.strip_prefix("listening on ").context("no port")?;
    let endpoint = WebhookEndpoint {
        url: format!("http://127.0.0.1:{port}/hooks"),
        ..created.endpoint.context("endpoint")?
    };
    let request = UpdateWebhookEndpointRequest {
        request_id: fresh_id(),
        endpoint: Some(endpoint),
    };
    suite
        .clients
        .webhooks()
        .update_webhook_endpoint(request)
        .await?;
    let mut forger = TcpStream::connect(format!("127.0.0.1:{port}")).await?;
    let forged = "POST /hooks HTTP/1.0\r\nwebhook-id: x\r\nwebhook-timestamp: 1\r\ncontent-length: 2\r\n\r\n{}";
    forger.write_all(forged.as_bytes()).await?;
    let mut answer = String::new();
    forger.read_to_string(&mut answer).await?;
    ensure!(answer.contains(" 401 "), "{answer}");
    let line = lines.next_line().await?.context("it ended")?;
    ensure!(line.starts_with("refused"), "{line}");
    for _ in 0..3 {
        let order = suite.place(new_order(&[("a", 1)])).await?;
        let line = lines.next_line().await?.context("it ended")?;
        ensure!(
            line == format!("OrderPlaced order/{} 1", order.order_id),
            "{line}"
        );
    }
    receiver.kill().await?;
    suite.suite.stop().await
}
