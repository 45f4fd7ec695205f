//! `oms api-key new`: a key of a partner.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use oms_core::{Clock, SystemClock};
use oms_service::{NewApiKey, issue_api_key};

use super::{Grant, explain, say};

#[derive(Debug, Args)]
pub(crate) struct ApiKeyArgs {
    #[command(flatten)]
    grant: Grant,
    /// Days until the key ends.
    #[arg(long, default_value_t = 365, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// The secret under which the servers hash keys (auth.api_keys.pepper_file).
    #[arg(long, value_name = "FILE")]
    pepper_file: PathBuf,
}

pub(super) fn command(args: &ApiKeyArgs) -> anyhow::Result<()> {
    let pepper = std::fs::read(&args.pepper_file);
    let pepper = pepper.with_context(|| format!("pepper file {}", args.pepper_file.display()))?;
    let mut random = [0; 40];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| anyhow!("the system gives no random numbers"))?;
    let grant = &args.grant;
    let new = NewApiKey {
        principal: grant.principal.clone(),
        roles: grant.roles.clone(),
        scopes: grant.scopes.clone(),
        locations: grant.locations.clone(),
        channels: grant.channels.clone(),
        expires_at: SystemClock.now() + time::Duration::days(args.days.into()),
    };
    let issued = issue_api_key(&new, &pepper, &random).map_err(|error| anyhow!(error))?;
    explain("The key, which nobody can show again:");
    say(&issued.key);
    explain("\nAppend to the file of keys (auth.api_keys.file):");
    say(&format!("\n{}", issued.entry.trim_end()));
    Ok(())
}
