//! The client's side of TLS.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Secures a connection to `host`, whose certificate must bear that name.
///
/// # Errors
/// When the host cannot stand on a certificate, or the handshake fails.
pub(crate) async fn secure(
    config: Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let host = host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host);
    let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    TlsConnector::from(config).connect(name, stream).await
}
