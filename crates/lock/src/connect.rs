//! Making a connection to a server that may write.

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, RedisConnectionInfo, RedisError, RedisResult,
    TlsCertificates,
};
use tokio::sync::Mutex;

use crate::config::ConfigError;

/// Knows how to reach a server, or the one that leads at the moment.
pub(crate) enum Connector {
    /// Always at the same place.
    Server(Box<Client>),
    /// Where the Sentinels say; they are asked anew for every connection, and the server is asked
    /// whether it leads.
    Leader(Box<Mutex<SentinelClient>>),
}

impl Connector {
    /// `roots`: what the server's certificate is checked against, if not the roots of the system.
    pub(crate) fn server(
        address: ConnectionInfo,
        roots: Option<Vec<u8>>,
    ) -> Result<Self, ConfigError> {
        let address = address.set_tcp_settings(at_once());
        let client = match roots {
            None => Client::open(address),
            Some(roots) => Client::build_with_tls(
                address,
                TlsCertificates {
                    client_tls: None,
                    root_cert: Some(roots),
                },
            ),
        };
        client
            .map(|client| Self::Server(Box::new(client)))
            .map_err(refused)
    }

    pub(crate) fn leader(
        sentinels: Vec<ConnectionInfo>,
        service: &str,
        login: RedisConnectionInfo,
    ) -> Result<Self, ConfigError> {
        let leader = SentinelNodeConnectionInfo::default()
            .set_redis_connection_info(login)
            .set_tcp_settings(at_once());
        let kind = SentinelServerType::Master;
        let client = SentinelClient::build(sentinels, service, Some(leader), kind);
        let client = client.map_err(refused)?;
        Ok(Self::Leader(Box::new(Mutex::new(client))))
    }

    /// Bounded by its caller.
    pub(crate) async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let unbounded = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        match self {
            Self::Server(client) => {
                client
                    .get_multiplexed_async_connection_with_config(&unbounded)
                    .await
            }
            Self::Leader(sentinels) => {
                let mut sentinels = sentinels.lock().await;
                sentinels.get_async_connection_with_config(&unbounded).await
            }
        }
    }
}

/// The end of a long command is sent at once, and not when the server has seen its beginning.
fn at_once() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "an error to map, as map_err gives it"
)]
fn refused(cause: RedisError) -> ConfigError {
    ConfigError::Url(cause.to_string())
}
