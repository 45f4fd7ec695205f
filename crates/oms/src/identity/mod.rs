//! Keys of partners, and tokens for development.

mod api_key;
mod dev_token;

use std::io::Write;
use std::path::Path;

use clap::{Args, Subcommand};
use oms_core::Principal;

pub(crate) use api_key::ApiKeyArgs;
pub(crate) use dev_token::{DevTokenArgs, Issuer};

/// What is done with keys of partners.
#[derive(Debug, Subcommand)]
pub(crate) enum ApiKey {
    /// Make a key and print it, this once, with the entry for the servers' file of keys.
    New(ApiKeyArgs),
}

/// Whose key or token it is, and what it is good for.
#[derive(Debug, Args)]
pub(crate) struct Grant {
    /// Who calls with it: partner:acme, user:alice.
    #[arg(long, value_name = "PRINCIPAL")]
    principal: Principal,
    /// A role; may be given several times.
    #[arg(long = "role", value_name = "NAME")]
    roles: Vec<String>,
    /// A scope beside those of the roles; may be given several times.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A location that it sees, * for all; may be given several times. Without it partners see none.
    #[arg(long = "location", value_name = "ID")]
    locations: Vec<String>,
    /// A sales channel that it sees, in the same way.
    #[arg(long = "channel", value_name = "ID")]
    channels: Vec<String>,
}

/// Makes a key.
pub(crate) fn api_key(ApiKey::New(args): &ApiKey) -> anyhow::Result<()> {
    api_key::command(args)
}

/// Makes a token.
pub(crate) fn dev_token(args: &DevTokenArgs) -> anyhow::Result<()> {
    dev_token::command(args)
}

/// Writes a new file that its owner alone may read.
fn write_secret(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;

    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

#[expect(clippy::print_stdout, reason = "the command's result")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(
    clippy::print_stderr,
    reason = "explains the command's result, which scripts read"
)]
fn explain(text: &str) {
    eprintln!("{text}");
}
