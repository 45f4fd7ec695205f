//! TLS: the certificate that this service shows, whom it trusts, and who its callers are by theirs.

mod connect;
mod names;

use std::path::PathBuf;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde::Deserialize;

use crate::auth::watched::{Refresh, Watched};
use crate::config::ConfigError;

pub(crate) use connect::secure;
pub(crate) use names::{ServiceNames, UriNames};

/// The section `[tls]`. Files are PEM, and are read again when they change; new connections then use the new ones.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificate chain that the server shows, and that this service shows to its peers.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// Authorities that sign the certificates of our services: those of callers, and those of peers. Clients may
    /// come without a certificate, and then need a token or key.
    pub client_ca: Option<PathBuf>,
    /// URI in the certificate of a service. Default `spiffe://oms/{service}`; in Kubernetes mostly
    /// `spiffe://cluster.local/ns/<namespace>/sa/{service}`.
    pub service_uri: String,
    /// The listener is plain, because a proxy beside it ends TLS and nobody else can reach the port. Default: off.
    pub terminated_by_proxy: bool,
    /// With `terminated_by_proxy`: header in which that proxy names the client's certificate, in the form of Envoy's
    /// `x-forwarded-client-cert`. The proxy must remove what clients send under this name. Default: none is believed.
    pub client_certificate_header: Option<String>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            client_ca: None,
            service_uri: "spiffe://oms/{service}".to_owned(),
            terminated_by_proxy: false,
            client_certificate_header: None,
        }
    }
}

impl TlsConfig {
    /// Whether the listener speaks TLS itself.
    pub(crate) fn is_on(&self) -> bool {
        self.certificate.is_some()
    }

    /// Checks what types cannot say.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err("tls: certificate and key need each other".to_owned());
        }
        if self.client_ca.is_some() && !self.is_on() {
            return Err("tls.client_ca: needs certificate and key".to_owned());
        }
        if self.terminated_by_proxy && self.is_on() {
            return Err("tls.terminated_by_proxy: contradicts certificate and key".to_owned());
        }
        if self.client_certificate_header.is_some() && !self.terminated_by_proxy {
            let why = "is believed only from a proxy: set terminated_by_proxy";
            return Err(format!("tls.client_certificate_header: {why}"));
        }
        ServiceNames::new(&self.service_uri, self.client_certificate_header.as_deref()).map(|_| ())
    }

    /// Who services are by their certificates.
    pub(crate) fn service_names(&self) -> ServiceNames {
        let header = self.client_certificate_header.as_deref();
        // Checked before; by default nobody is anybody.
        ServiceNames::new(&self.service_uri, header).unwrap_or_default()
    }
}

/// Both ends of TLS, kept up to date with the files. Empty without a certificate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tls {
    /// How the listener speaks.
    pub(crate) server: Option<Arc<Watched<ServerConfig>>>,
    /// How this service speaks to its peers; needs an authority that it trusts.
    pub(crate) client: Option<Arc<Watched<ClientConfig>>>,
}

impl Tls {
    /// # Errors
    /// When a file cannot be read, or the certificate does not belong to the key.
    pub(crate) fn load(config: &TlsConfig) -> Result<Self, ConfigError> {
        let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else {
            return Ok(Self::default());
        };
        let mut files = vec![certificate.clone(), key.clone()];
        files.extend(config.client_ca.clone());
        let server = Watched::new(files.clone(), |contents| {
            server(contents).map_err(|error| format!("tls: {error}"))
        })?;
        let client = config.client_ca.as_ref().map(|_| {
            Watched::new(files, |contents| {
                client(contents).map_err(|error| format!("tls: {error}"))
            })
        });
        Ok(Self {
            server: Some(Arc::new(server)),
            client: client.transpose()?.map(Arc::new),
        })
    }

    /// The files that are to be read again when they change.
    pub(crate) fn watched(&self) -> Vec<Arc<dyn Refresh>> {
        let server = self.server.clone().map(|server| server as Arc<dyn Refresh>);
        let client = self.client.clone().map(|client| client as Arc<dyn Refresh>);
        server.into_iter().chain(client).collect()
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Certificate chain, key and authorities, if there are any.
fn read(contents: &[Vec<u8>]) -> Result<(Identity, Option<RootCertStore>), String> {
    let [certificate, key, ca @ ..] = contents else {
        return Err("a certificate and a key are needed".to_owned());
    };
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("key: {error}"))?;
    let Some(ca) = ca.first() else {
        return Ok(((chain, key), None));
    };
    Ok(((chain, key), Some(authorities(ca)?)))
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for root in certificates(pem)? {
        roots
            .add(root)
            .map_err(|error| format!("authority: {error}"))?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err("a file has no certificate in it".to_owned()),
        Err(error) => Err(format!("certificate: {error}")),
    }
}

/// The same everywhere, whatever other crates bring along.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn server(contents: &[Vec<u8>]) -> Result<ServerConfig, String> {
    let ((chain, key), roots) = read(contents)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            let verifier = verifier.allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.map_err(|error| error.to_string())?)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Connections live long. Without resumption each handshake looks at the client's certificate anew.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(contents: &[Vec<u8>]) -> Result<ClientConfig, String> {
    let ((chain, key), roots) = read(contents)?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = builder
        .with_root_certificates(roots.unwrap_or_else(RootCertStore::empty))
        .with_client_auth_cert(chain, key)
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// How a program that is no service of ours speaks to services: whom it trusts (whom the system trusts, without `ca`), and its
/// certificate and key, if it has them.
pub(crate) fn outside(
    ca: Option<&Vec<u8>>,
    identity: Option<&[Vec<u8>]>,
) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match ca {
        Some(ca) => builder.with_root_certificates(authorities(ca)?),
        None => builder
            .with_native_roots()
            .map_err(|error| error.to_string())?,
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let ((chain, key), _) = read(identity)?;
            let config = builder.with_client_auth_cert(chain, key);
            config.map_err(|error| error.to_string())?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_toml;

    #[test]
    fn half_a_configuration_is_refused() {
        let check = |text: &str| from_toml::<TlsConfig>(text).unwrap().check();
        let whole = "certificate = \"c\"\nkey = \"k\"\n";
        assert_eq!(check(""), Ok(()));
        assert_eq!(check(&format!("{whole}client_ca = \"a\"")), Ok(()));
        assert_eq!(
            check("terminated_by_proxy = true\nclient_certificate_header = \"x-cert\""),
            Ok(())
        );
        for wrong in [
            "certificate = \"c\"",
            "key = \"k\"",
            "client_ca = \"a\"",
            "client_certificate_header = \"x-cert\"",
            "terminated_by_proxy = true\nclient_certificate_header = \"x cert\"",
            "service_uri = \"spiffe://oms/order\"",
            &format!("{whole}terminated_by_proxy = true"),
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
