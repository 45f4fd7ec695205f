//! Who stands behind a peer's name.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;

/// Finds the replicas behind a name.
#[async_trait]
pub trait Resolve: Send + Sync + fmt::Debug {
    /// Every address at which `host` answers on `port`; a headless Service of Kubernetes has one per ready pod.
    ///
    /// # Errors
    /// When the name cannot be looked up.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The resolver of the system: DNS, and what stands in its hosts file.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        // An IPv6 address has brackets in an address, and none here.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// Addresses that the configuration lists.
#[derive(Debug)]
pub(super) struct Listed(pub(super) Vec<SocketAddr>);

#[async_trait]
impl Resolve for Listed {
    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(self.0.clone())
    }
}
