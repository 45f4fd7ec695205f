//! How commands reach services: the one group of options by which they prove who they are and whom they trust.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;
use oms_service::{Credentials, Secret, is_loopback};
use tonic::transport::Uri;

/// Variables that hold a secret itself. No option does: other users of the machine can read the arguments of programs.
const TOKEN: &str = "OMS_TOKEN";
const API_KEY: &str = "OMS_API_KEY";

/// How services are reached. Without any of it callers prove nothing, which `oms up` alone believes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// File with a token of your identity provider; instead, the variable OMS_TOKEN may hold the token.
    #[arg(long, value_name = "FILE", conflicts_with = "api_key_file")]
    token_file: Option<PathBuf>,
    /// File with an API key; instead, the variable OMS_API_KEY may hold the key.
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Authorities that sign the certificates of the services (PEM); those that the system trusts if absent.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Certificate to show to the services (PEM).
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Send the token or API key by http:// to other machines, too, as where a mesh encrypts what this program sends.
    #[arg(long)]
    allow_plain: bool,
}

impl ConnectionArgs {
    /// What to show and trust at these addresses. Files are read again when they change.
    ///
    /// # Errors
    /// When a file cannot be used, or a secret would travel in plain text.
    pub(crate) fn credentials(&self, addresses: &[&str]) -> anyhow::Result<Credentials> {
        let credentials = self.load(addresses, |name| std::env::var(name).ok())?;
        credentials.keep_fresh();
        Ok(credentials)
    }

    fn load(
        &self,
        addresses: &[&str],
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Credentials> {
        let secret = self.secret(variable)?;
        let mut is_tls = false;
        for address in addresses {
            is_tls |= self.check(address, secret.is_some())?;
        }
        let mut credentials = Credentials::default();
        if is_tls {
            let identity = self.cert.clone().zip(self.key.clone());
            credentials = credentials.with_tls(self.ca.clone(), identity)?;
        }
        match secret {
            Some(secret) => Ok(credentials.with_secret(secret)?),
            None => Ok(credentials),
        }
    }

    /// Files win over variables.
    fn secret(&self, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Secret>> {
        if let Some(file) = self.token_file.as_ref().or(self.api_key_file.as_ref()) {
            return Ok(Some(Secret::File(file.clone())));
        }
        let said = |name| variable(name).filter(|text| !text.is_empty());
        match (said(TOKEN), said(API_KEY)) {
            (Some(_), Some(_)) => bail!("{TOKEN} and {API_KEY} are both set: unset one of them"),
            (token, api_key) => Ok(token.or(api_key).map(Secret::Text)),
        }
    }

    /// Whether TLS is spoken to this address.
    fn check(&self, address: &str, has_secret: bool) -> anyhow::Result<bool> {
        let uri: Uri = address
            .parse()
            .with_context(|| format!("{address:?} is no address"))?;
        let host = uri.host().unwrap_or_default();
        match uri.scheme_str() {
            Some("https") => return Ok(true),
            Some("http") if !host.is_empty() => {}
            _ => bail!("{address:?} is not https://HOST:PORT or http://HOST:PORT"),
        }
        ensure!(
            self.ca.is_none() && self.cert.is_none(),
            "{address} is not https://, which --ca and --cert are for"
        );
        ensure!(
            !has_secret || self.allow_plain || is_loopback(host),
            "the token or API key would travel in plain text to {address}: use https://, or --allow-plain where something else \
             encrypts on the way"
        );
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        connection: ConnectionArgs,
    }

    fn load(arguments: &[&str], address: &str, token: &str) -> Result<(), String> {
        let arguments = ["x"].iter().chain(arguments);
        let parsed = Command::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let variable = |name: &str| (name == TOKEN).then(|| token.to_owned());
        let loaded = parsed.connection.load(&[address], variable);
        loaded.map(|_| ()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn secrets_travel_encrypted_or_stay_on_the_machine() {
        for address in [
            "http://127.0.0.1:7001",
            "http://localhost:7001",
            "http://[::1]:7001",
        ] {
            assert_eq!(load(&[], address, "hush"), Ok(()), "{address}");
        }
        let away = "http://oms-order:7001";
        assert_eq!(load(&[], away, ""), Ok(()));
        assert_eq!(load(&["--allow-plain"], away, "hush"), Ok(()));
        for address in [away, "http://127.0.0.1.example.com:7001", "http://10.0.0.1"] {
            let refused = load(&[], address, "hush").unwrap_err();
            assert!(refused.contains(address) && refused.contains("plain text"));
            assert!(!refused.contains("hush"), "{refused}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let here = "http://127.0.0.1:7001";
        for (arguments, address, says) in [
            (&["--ca", "x"][..], here, "not https://"),
            (&["--cert", "x", "--key", "y"], here, "not https://"),
            (&["--cert", "x"], here, "--key"),
            (&["--key", "x"], here, "--cert"),
            (
                &["--token-file", "x", "--api-key-file", "y"],
                here,
                "cannot be used with",
            ),
            (
                &["--token-file", "/nowhere/token"],
                here,
                "/nowhere/token: ",
            ),
            (
                &["--ca", "/nowhere/ca"],
                "https://order:7001",
                "/nowhere/ca: ",
            ),
            (&[], "order:7001", "is not https://HOST:PORT"),
            (&[], "ftp://order:7001", "is not https://HOST:PORT"),
            (&[], "http://", "is no address"),
        ] {
            let refused = load(arguments, address, "").unwrap_err();
            assert!(refused.contains(says), "{arguments:?} {address}: {refused}");
        }
    }

    #[test]
    fn one_secret_is_enough() {
        let both = |_: &str| Some("hush".to_owned());
        let refused = ConnectionArgs::default().secret(both).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "OMS_TOKEN and OMS_API_KEY are both set: unset one of them"
        );
    }
}
