//! A Redis behind TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use oms_testkit::redis_url;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::holders::{Holders, acquired, released, unavailable};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What the authority certifies as 127.0.0.1.
fn sealed(ours: &CertifiedIssuer<'static, KeyPair>) -> TlsAcceptor {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ours).unwrap();
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()))
}

/// Ends TLS before the Redis at `redis`; answers where.
async fn front(acceptor: TlsAcceptor, redis: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, redis) = (acceptor.clone(), redis.clone());
            tokio::spawn(async move {
                // A client that does not trust us goes away.
                let Ok(mut client) = acceptor.accept(stream).await else {
                    return;
                };
                let mut server = TcpStream::connect(redis).await.unwrap();
                copy_bidirectional(&mut client, &mut server).await.ok();
            });
        }
    });
    at
}

#[tokio::test]
async fn a_server_is_checked_against_the_certificates_of_the_configuration() {
    let url = redis_url().await;
    let (_, rest) = url.split_once("://").unwrap();
    let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
    let ours = authority();
    let at = front(sealed(&ours), place.to_owned()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        Some(path)
    };

    let mut holders = Holders::on(format!("rediss://{at}/{database}"));
    holders.config.ca_file = file("ours.crt", &ours.pem());
    let trusting = holders.holder();
    let lease = acquired(&trusting, &["sku"]).await;
    assert_eq!(released(&trusting, lease).await, 1);

    holders.config.ca_file = file("other.crt", &authority().pem());
    unavailable(&holders.holder(), &["sku"]).await;
}
