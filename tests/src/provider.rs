//! The payment provider as tests see it: faults to order, and its ledger.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Orders a fault, as JSON, at a provider.
///
/// # Errors
/// When it is refused or nobody answers.
pub async fn order_fault(url: &str, fault: &str) -> anyhow::Result<()> {
    call(url, "POST", fault).await
}

/// Takes all faults back.
///
/// # Errors
/// When nobody answers.
pub async fn clear_faults(url: &str) -> anyhow::Result<()> {
    call(url, "DELETE", "").await
}

async fn call(url: &str, method: &str, body: &str) -> anyhow::Result<()> {
    let address = url.strip_prefix("http://").context("an http address")?;
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "{method} /v1/faults HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 204"), "{body}: {answer}");
    Ok(())
}

/// What was done or refused under each key: `CAPTURE 1999 USD approved`.
pub type Ledger = BTreeMap<String, String>;

/// The provider's ledger.
///
/// # Errors
/// When it cannot be read.
pub async fn their_ledger(postgres_url: &str) -> anyhow::Result<Ledger> {
    let mut conn = connect(postgres_url, oms_sandbox_psp::DATABASE).await?;
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT idempotency_key, concat_ws(' ', kind, amount, currency,
             CASE WHEN approved THEN 'approved' ELSE 'declined' END) FROM charges",
    )
    .fetch_all(&mut conn)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Our payments, in the same words; those that are not settled say so.
///
/// # Errors
/// When they cannot be read.
pub async fn our_ledger(postgres_url: &str) -> anyhow::Result<Ledger> {
    let mut conn = connect(postgres_url, "oms_order").await?;
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT payment_id::text, concat_ws(' ', kind, amount, currency,
             CASE state WHEN 'SUCCEEDED' THEN 'approved' WHEN 'FAILED' THEN 'declined' ELSE state END)
         FROM payments WHERE provider = 'sandbox'",
    )
    .fetch_all(&mut conn)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Connects to a database of this server.
///
/// # Errors
/// When it is not there.
pub async fn connect(postgres_url: &str, database: &str) -> anyhow::Result<PgConnection> {
    let server: PgConnectOptions = postgres_url.parse()?;
    Ok(server.database(database).connect().await?)
}
