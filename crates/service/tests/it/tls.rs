//! TLS with certificates of an authority of the test's own: who is let in, to what, and how files rotate.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use oms_proto::common::v1::ErrorReason;
use oms_proto::events::v1::GetHeadRequest;
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_service::{PeerError, Runtime, ServiceHandle};
use oms_testkit::{TestDb, wait_for};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::support::{call, database, start_with};

/// A certificate with its key, as PEM.
struct Identity {
    certificate: String,
    key: String,
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// For localhost, with this URI unless it is empty.
    fn issue(&self, uri: &str) -> Identity {
        self.issue_with(uri, |_| {})
    }

    fn issue_with(&self, uri: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        if !uri.is_empty() {
            params
                .subject_alt_names
                .push(SanType::URI(uri.try_into().unwrap()));
        }
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Identity {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

fn put(folder: &Path, identity: &Identity, authority: &Authority) {
    std::fs::write(folder.join("ca.crt"), authority.0.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), &identity.key).unwrap();
    std::fs::write(folder.join("tls.crt"), &identity.certificate).unwrap();
}

fn toml(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "server.files_reload_ms = 20\n[tls]\ncertificate = \"{folder}/tls.crt\"\nkey = \"{folder}/tls.key\"\n\
         client_ca = \"{folder}/ca.crt\"\n"
    )
}

/// A running probe, which is the service order.
struct World {
    authority: Authority,
    folder: TempDir,
    handle: ServiceHandle,
    database: TestDb,
}

impl World {
    async fn new() -> Self {
        let (authority, folder, database) = (
            Authority::new(),
            tempfile::tempdir().unwrap(),
            database().await,
        );
        put(
            folder.path(),
            &authority.issue("spiffe://oms/order"),
            &authority,
        );
        let toml = format!("insecure_dev = false\n{}", toml(folder.path()));
        let handle = start_with(&database, &toml, Runtime::default())
            .await
            .unwrap();
        Self {
            authority,
            folder,
            handle,
            database,
        }
    }

    fn channel(&self, identity: Option<&Identity>) -> Channel {
        channel(self.handle.addr, &self.authority, identity)
    }

    /// What every service may do here whose feed list names order: only returns.
    async fn head(&self, identity: Option<&Identity>) -> Result<i64, PeerError> {
        head(self.channel(identity)).await
    }
}

async fn head(channel: Channel) -> Result<i64, PeerError> {
    let head = EventFeedServiceClient::new(channel)
        .get_head(GetHeadRequest {})
        .await;
    Ok(head?.into_inner().pos)
}

fn client(trusted: &Authority, identity: Option<&Identity>) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(trusted.roots());
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain =
                vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

type Stream = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect(addr: SocketAddr, config: Arc<ClientConfig>) -> std::io::Result<Stream> {
    let stream = TcpStream::connect(addr).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config).connect(name, stream).await
}

fn channel(addr: SocketAddr, trusted: &Authority, identity: Option<&Identity>) -> Channel {
    let config = Arc::new(client(trusted, identity));
    let connector = tower::service_fn(move |_| {
        let config = Arc::clone(&config);
        async move { connect(addr, config).await.map(TokioIo::new) }
    });
    // The connector speaks TLS, not tonic.
    let endpoint = Endpoint::from_static("http://localhost");
    let endpoint = endpoint.origin(Uri::from_static("https://localhost"));
    endpoint.connect_with_connector_lazy(connector)
}

#[tokio::test]
async fn a_service_may_what_its_certificate_and_the_list_say() {
    let world = World::new().await;
    let returns = world.authority.issue("spiffe://oms/returns");
    assert_eq!(world.head(Some(&returns)).await.unwrap(), 0);

    // On the list, but not with this method.
    let refused = call(world.channel(Some(&returns)), "echo")
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), refused.reason()),
        (Code::PermissionDenied, Some(ErrorReason::ScopeMissing))
    );
    // Of ours, but not on the list.
    for uri in ["spiffe://oms/inventory", "spiffe://oms/gateway"] {
        let refused = world
            .head(Some(&world.authority.issue(uri)))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{uri}");
    }
    // Nobody: without a certificate, without a name, with a name from elsewhere, with two.
    let two = world
        .authority
        .issue_with("spiffe://oms/returns", |params| {
            params
                .subject_alt_names
                .push(SanType::URI("spiffe://oms/order".try_into().unwrap()));
        });
    for identity in [
        None,
        Some(&world.authority.issue("")),
        Some(&world.authority.issue("spiffe://evil/returns")),
        Some(&two),
    ] {
        let refused = world.head(identity).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    }
}

#[tokio::test]
async fn certificates_that_prove_nothing_end_the_handshake() {
    let world = World::new().await;
    let foreign = Authority::new().issue("spiffe://oms/returns");
    let expired = world
        .authority
        .issue_with("spiffe://oms/returns", |params| {
            params.not_after = date_time_ymd(2020, 1, 1);
        });
    let not_yet = world
        .authority
        .issue_with("spiffe://oms/returns", |params| {
            params.not_before = date_time_ymd(4000, 1, 1);
        });
    // The transport fails: no server has looked at the call.
    let is_cut_off = |error: &PeerError| matches!(error.code(), Code::Unavailable | Code::Unknown);
    for identity in [foreign, expired, not_yet] {
        let refused = world.head(Some(&identity)).await.unwrap_err();
        assert!(
            is_cut_off(&refused) && refused.reason().is_none(),
            "{refused}"
        );
    }
    let plain = Endpoint::from_shared(format!("http://{}", world.handle.addr)).unwrap();
    let refused = head(plain.connect_lazy()).await.unwrap_err();
    assert!(
        is_cut_off(&refused) && refused.reason().is_none(),
        "{refused}"
    );
    // None of it harms others.
    let returns = world.authority.issue("spiffe://oms/returns");
    assert!(world.head(Some(&returns)).await.is_ok());
}

#[tokio::test]
async fn files_rotate_while_the_server_runs() {
    let world = World::new().await;
    let (addr, folder) = (world.handle.addr, world.folder.path());
    let returns = world.authority.issue("spiffe://oms/returns");
    let before = world.channel(Some(&returns));
    assert!(head(before.clone()).await.is_ok());

    // Half of a rotation is not taken.
    let next = world.authority.issue("spiffe://oms/order");
    std::fs::write(folder.join("tls.key"), &next.key).unwrap();
    assert!(world.head(Some(&returns)).await.is_ok());
    put(folder, &next, &world.authority);
    let shown = CertificateDer::from_pem_slice(next.certificate.as_bytes()).unwrap();
    let config = Arc::new(client(&world.authority, Some(&returns)));
    wait_for("the new certificate", async || {
        let stream = connect(addr, Arc::clone(&config))
            .await
            .map_err(|error| error.to_string())?;
        let certificates = stream.get_ref().1.peer_certificates();
        let is_new = certificates.is_some_and(|all| all[0] == shown);
        is_new.then_some(()).ok_or_else(|| "the old one".to_owned())
    })
    .await;
    // Connections that were there go on.
    assert!(head(before).await.is_ok());

    // Another authority: who was let in is not any more.
    let other = Authority::new();
    put(folder, &other.issue("spiffe://oms/order"), &other);
    let by_other = other.issue("spiffe://oms/returns");
    wait_for("the new authority", async || {
        head(channel(addr, &other, Some(&by_other)))
            .await
            .map_err(|error| error.to_string())
    })
    .await;
    assert!(head(channel(addr, &other, Some(&returns))).await.is_err());
}

#[tokio::test]
async fn services_show_their_certificate_to_peers_and_take_the_new_one() {
    let callee = World::new().await;
    let (addr, folder) = (callee.handle.addr, tempfile::tempdir().unwrap());
    // The caller is believed who calls it, but is not believed itself.
    put(
        folder.path(),
        &callee.authority.issue("spiffe://oms/returns"),
        &callee.authority,
    );
    let peer = format!(
        "[peers.inventory]\nurl = \"https://localhost:{}\"\n",
        addr.port()
    );
    let toml_of_caller = format!("{}{peer}", toml(folder.path()));
    let database = database().await;
    let caller = start_with(&database, &toml_of_caller, Runtime::default())
        .await
        .unwrap();
    let ask = async |trusted: &Authority| call(channel(caller.addr, trusted, None), "head").await;
    assert_eq!(ask(&callee.authority).await.unwrap(), "0");

    // Both get certificates of another authority, and the callee comes back at its place.
    let other = Authority::new();
    put(folder.path(), &other.issue("spiffe://oms/returns"), &other);
    put(
        callee.folder.path(),
        &other.issue("spiffe://oms/order"),
        &other,
    );
    callee.handle.shutdown().await.unwrap();
    let toml = format!(
        "insecure_dev = false\nlisten = \"{addr}\"\n{}",
        toml(callee.folder.path())
    );
    let _again = start_with(&callee.database, &toml, Runtime::default())
        .await
        .unwrap();
    wait_for("the caller to show its new certificate", async || {
        ask(&other).await.map_err(|error| error.to_string())
    })
    .await;
}
