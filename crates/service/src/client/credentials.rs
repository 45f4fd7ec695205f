//! Who a program is that is no service of ours, and whom it trusts: the token, key or certificate of a person or a tool.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use rustls::ClientConfig;
use tokio_util::sync::CancellationToken;

use crate::auth::watched::{self, Refresh, Watched};
use crate::config::ConfigError;
use crate::tls;

/// Pause between two looks at the files.
const RELOAD: Duration = Duration::from_secs(5);

/// Where a token or API key is.
#[derive(Clone)]
pub enum Secret {
    /// The secret itself.
    Text(String),
    /// A file that holds it and nothing else.
    File(PathBuf),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// What a program shows and trusts, made of files that are read again when they change. By default it shows nothing and speaks no TLS.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    pub(super) tls: Option<Arc<Watched<ClientConfig>>>,
    pub(super) authorization: Option<Arc<Watched<HeaderValue>>>,
}

impl Credentials {
    /// Speaks TLS to addresses with `https://`. `authorities` (PEM) sign the servers' certificates; those of the system do if there are
    /// none. `identity` is a certificate chain and its key (PEM) for servers that want one.
    ///
    /// # Errors
    /// When a file cannot be read or used, or the system trusts nobody.
    pub fn with_tls(
        mut self,
        authorities: Option<PathBuf>,
        identity: Option<(PathBuf, PathBuf)>,
    ) -> Result<Self, ConfigError> {
        let (has_authorities, has_identity) = (authorities.is_some(), identity.is_some());
        let identity = identity.into_iter().flat_map(|(chain, key)| [chain, key]);
        let files: Vec<PathBuf> = authorities.into_iter().chain(identity).collect();
        let watched = Watched::new(files, move |contents| {
            let (authorities, identity) = contents.split_at(usize::from(has_authorities));
            tls::outside(authorities.first(), has_identity.then_some(identity))
                .map_err(|error| format!("TLS: {error}"))
        })?;
        self.tls = Some(Arc::new(watched));
        Ok(self)
    }

    /// Sends this token or API key with every call.
    ///
    /// # Errors
    /// When its file cannot be read, or it is none. The text of the error does not hold it.
    pub fn with_secret(mut self, secret: Secret) -> Result<Self, ConfigError> {
        let (files, text, name) = match secret {
            Secret::Text(text) => (Vec::new(), text, "the token or API key".to_owned()),
            Secret::File(path) => {
                let name = path.display().to_string();
                (vec![path], String::new(), name)
            }
        };
        let watched = Watched::new(files, move |contents| {
            let secret = contents.first().map_or(text.as_bytes(), Vec::as_slice);
            bearer(secret).map_err(|wrong| format!("{name} {wrong}"))
        })?;
        self.authorization = Some(Arc::new(watched));
        Ok(self)
    }

    /// Looks at the files every five seconds, as long as the program runs. Must be called within a Tokio runtime.
    pub fn keep_fresh(&self) {
        let tls = self.tls.clone().map(|one| one as Arc<dyn Refresh>);
        let authorization = self.authorization.clone();
        let authorization = authorization.map(|one| one as Arc<dyn Refresh>);
        let files = tls.into_iter().chain(authorization).collect();
        // Ends with the runtime.
        drop(watched::spawn(files, RELOAD, CancellationToken::new()));
    }
}

/// The header; an error completes a sentence about the secret.
fn bearer(secret: &[u8]) -> Result<HeaderValue, &'static str> {
    let secret = secret.trim_ascii();
    if secret.is_empty() {
        return Err("is empty");
    }
    if !secret.iter().all(u8::is_ascii_graphic) {
        return Err("is no token or API key: it has spaces, lines or other characters in it");
    }
    let header = HeaderValue::from_bytes(&[b"Bearer ", secret].concat());
    let mut header = header.map_err(|_| "is no token or API key")?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_told() {
        let told = |text: &str| {
            let secret = Secret::Text(text.to_owned());
            let debug = format!("{secret:?}");
            let made = Credentials::default().with_secret(secret);
            match made {
                Ok(made) => format!(
                    "{debug} {made:?} {:?}",
                    made.authorization.clone().unwrap().get()
                ),
                Err(error) => format!("{debug} {error}"),
            }
        };
        for text in ["hush", "hush hush", "hush\nhush", "h\u{fc}sh", " "] {
            let told = told(text);
            assert!(!told.contains("hush"), "{told}");
        }
        assert!(told("two words").contains("is no token or API key"));
        assert!(told(" \n").contains("is empty"));
        let trimmed = Credentials::default().with_secret(Secret::Text("abc\n".to_owned()));
        let header = trimmed.unwrap().authorization.unwrap().get();
        assert_eq!(header.to_str().unwrap(), "Bearer abc");
    }
}
