//! A payment provider for development and tests: a program of its own with a ledger of its own, so that
//! everything that goes wrong with real providers can go wrong here, on order.
//!
//! | route | what it does |
//! |---|---|
//! | `POST /v1/authorizations`, `/v1/captures`, `/v1/voids`, `/v1/refunds` | books under the `Idempotency-Key` header; 200 done, 402 declined |
//! | `GET /v1/charges?key=` | what became of a key |
//! | `GET /v1/charges?after=` | the ledger, a page at a time |
//! | `POST /v1/faults`, `DELETE /v1/faults` | orders a fault, takes all back |
//! | `GET /livez` | answers |
//!
//! The same key with the same body gives the same answer, with another body 409. What is declined follows
//! from the token of the authorization: `tok_approve` and unknown `tok_*` tokens approve, `tok_decline` and
//! `tok_insufficient_funds` decline, `tok_capture_fails` approves and then declines captures, `tok_timeout`
//! does it and loses the answer once, `tok_expires_90` approves for 90 seconds, all others for a week: from then on captures
//! are declined with `authorization_expired`. Never is more captured or voided than was authorized, nor more
//! refunded than was captured.
//!
//! Every new charge is told by a webhook, where one is configured: `{"id": .., "type": "charge.approved",
//! "data": {"idempotency_key": .., "reference": ..}}`, signed in the header `Sandbox-Signature` as Stripe signs.
//!
//! Real money is nowhere near: it must not be reachable from outside a development machine or a test.

mod api;
mod charge;
mod faults;
mod ledger;
mod store;
mod webhooks;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use oms_core::Clock;
use oms_postgres::{Db, DbConfig};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use api::Shop;
use faults::Faults;
use webhooks::Sender;

pub use webhooks::Webhook;

/// The provider's migrations.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Name of the provider's database.
pub const DATABASE: &str = "oms_sandbox_psp";

/// The port at which it usually listens.
pub const PORT: u16 = 7090;

/// The provider cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database cannot be used.
    #[error("database: {0}")]
    Database(#[from] oms_postgres::Error),
    /// A migration failed.
    #[error("migration: {0}")]
    Migrate(#[from] oms_postgres::MigrateError),
    /// The port cannot be used.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
}

/// Makes [`DATABASE`] on this server unless it is there, and answers its address.
///
/// # Errors
/// When the server cannot be reached, or does not allow it.
pub async fn create_database(server_url: &str) -> Result<String, oms_postgres::Error> {
    let server: PgConnectOptions = server_url.parse()?;
    let mut conn = server.connect().await?;
    store::create_database(&mut conn).await?;
    conn.close().await?;
    Ok(server.database(DATABASE).to_url_lossy().into())
}

/// A running provider. Dropping it ends it.
#[derive(Debug)]
pub struct SandboxPsp {
    addr: SocketAddr,
    server: JoinHandle<io::Result<()>>,
    cancel: DropGuard,
}

impl SandboxPsp {
    /// Brings the database to the provider's schema and serves on this port.
    ///
    /// # Errors
    /// When the database or the port cannot be used.
    pub async fn start(
        database_url: &str,
        listener: std::net::TcpListener,
        clock: Arc<dyn Clock>,
        webhook: Option<Webhook>,
    ) -> Result<Self, StartError> {
        let config = DbConfig {
            max_connections: 4,
            ..DbConfig::new(database_url, "sandbox-psp")
        };
        let db = Db::connect(&config, Arc::clone(&clock)).await?;
        oms_postgres::migrate(&db, &MIGRATOR).await?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let addr = listener.local_addr()?;
        let cancel = CancellationToken::new();
        let shop = Shop {
            db,
            faults: Faults::default(),
            webhooks: webhook.map(|webhook| Sender::new(webhook, clock, cancel.clone())),
        };
        let router = api::router(Arc::new(shop));
        tracing::info!(%addr, "the sandbox payment provider serves");
        let canceled = cancel.clone().cancelled_owned();
        let served = axum::serve(listener, router).with_graceful_shutdown(canceled);
        Ok(Self {
            addr,
            server: tokio::spawn(async move { served.await }),
            cancel: cancel.drop_guard(),
        })
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Answers what is under way, then ends.
    ///
    /// # Errors
    /// When it had broken down.
    pub async fn stop(self) -> io::Result<()> {
        drop(self.cancel);
        self.server.await.map_err(io::Error::other)?
    }
}
