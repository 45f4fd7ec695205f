//! `oms dev-token`: a token as an identity provider would sign it, for trying the real checks on one machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use clap::Args;
use jsonwebtoken::jwk::{Jwk, JwkSet, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use oms_core::{Clock, Principal, PrincipalKind, SystemClock};
use serde_json::{Value, json};

use super::{Grant, explain, say, write_secret};

/// File of the keys that servers read.
const PUBLIC: &str = "jwks.json";

#[derive(Debug, Args)]
pub(crate) struct DevTokenArgs {
    #[command(flatten)]
    grant: Grant,
    /// Hours until the token ends.
    #[arg(long, default_value_t = 12, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=720))]
    hours: u16,
    /// Folder of the key that signs, which is made if it is missing, and of the keys that servers read.
    #[arg(long, default_value = ".oms/issuer", value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn command(args: &DevTokenArgs) -> anyhow::Result<()> {
    let is_new = !args.dir.join(PUBLIC).exists();
    let issuer = Issuer::open(&args.dir)?;
    if is_new {
        let public = issuer.public.canonicalize();
        explain(&format!(
            "A new issuer. Servers take its tokens with\n\n[auth.jwt]\nissuer = {:?}\naudience = {:?}\n\
             jwks_file = '{}'\n",
            Issuer::NAME,
            Issuer::AUDIENCE,
            public.unwrap_or_else(|_| issuer.public.clone()).display()
        ));
    }
    say(&issuer.sign(&claims(args)?)?);
    Ok(())
}

fn claims(args: &DevTokenArgs) -> anyhow::Result<Value> {
    let (grant, now) = (&args.grant, SystemClock.now().unix_timestamp());
    let mut claims = json!({
        "iss": Issuer::NAME, "aud": Issuer::AUDIENCE, "sub": grant.principal.id(),
        "iat": now, "nbf": now, "exp": now + i64::from(args.hours) * 3_600,
        "roles": grant.roles, "scope": grant.scopes.join(" "),
    });
    match grant.principal.kind() {
        PrincipalKind::User => {}
        PrincipalKind::Partner => claims["oms_partner"] = json!(grant.principal.id()),
        PrincipalKind::Service => return Err(anyhow!("services have certificates and no tokens")),
    }
    if !grant.locations.is_empty() {
        claims["oms_locations"] = json!(grant.locations);
    }
    if !grant.channels.is_empty() {
        claims["oms_channels"] = json!(grant.channels);
    }
    Ok(claims)
}

/// An issuer of tokens on this machine: a key that signs, in a folder.
pub(crate) struct Issuer {
    key: EncodingKey,
    jwk: Jwk,
    /// The file of the keys that servers read.
    pub(crate) public: PathBuf,
}

impl Issuer {
    /// What tokens say of their issuer.
    pub(crate) const NAME: &str = "oms-dev";
    /// Whom tokens are for.
    pub(crate) const AUDIENCE: &str = "oms";

    /// The issuer of a folder, made the first time.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        let (secret, public) = (dir.join("key.der"), dir.join(PUBLIC));
        if !secret.exists() {
            std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
            let random = SystemRandom::new();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
            let pkcs8 = pkcs8.map_err(|_| anyhow!("no key can be made"))?;
            write_secret(&secret, pkcs8.as_ref()).with_context(|| secret.display().to_string())?;
        }
        let pkcs8 = std::fs::read(&secret).with_context(|| secret.display().to_string())?;
        let key = EncodingKey::from_ec_der(&pkcs8);
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).context("key")?;
        jwk.common.key_id = Some(jwk.thumbprint(ThumbprintHash::SHA256).context("key")?);
        if !public.exists() {
            let set = JwkSet {
                keys: vec![jwk.clone()],
            };
            std::fs::write(&public, serde_json::to_vec(&set)?)
                .with_context(|| public.display().to_string())?;
        }
        Ok(Self { key, jwk, public })
    }

    /// A token of somebody with this role, for an hour.
    pub(crate) fn token(&self, principal: &Principal, role: &str) -> anyhow::Result<String> {
        self.sign(&claims(&DevTokenArgs {
            grant: Grant {
                principal: principal.clone(),
                roles: vec![role.to_owned()],
                scopes: Vec::new(),
                locations: Vec::new(),
                channels: Vec::new(),
            },
            hours: 1,
            dir: PathBuf::new(),
        })?)
    }

    fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = self.jwk.common.key_id.clone();
        encode(&header, claims, &self.key).context("signature")
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    fn args(dir: &Path, principal: &str) -> DevTokenArgs {
        DevTokenArgs {
            grant: Grant {
                principal: principal.parse().unwrap(),
                roles: vec!["partner".to_owned()],
                scopes: vec!["orders.read".to_owned()],
                locations: vec!["us-west".to_owned()],
                channels: Vec::new(),
            },
            hours: 1,
            dir: dir.to_owned(),
        }
    }

    #[test]
    fn tokens_are_signed_with_the_published_key() {
        let dir = std::env::temp_dir().join(format!("oms-issuer-{}", std::process::id()));
        let Issuer { key, jwk, .. } = Issuer::open(&dir).unwrap();
        let claims = claims(&args(&dir, "partner:acme")).unwrap();
        let token = encode(&Header::new(Algorithm::ES256), &claims, &key).unwrap();
        // The same the next time.
        assert_eq!(Issuer::open(&dir).unwrap().jwk, jwk);
        let published: JwkSet =
            serde_json::from_slice(&std::fs::read(dir.join("jwks.json")).unwrap()).unwrap();
        let public =
            DecodingKey::from_jwk(published.find(jwk.common.key_id.as_ref().unwrap()).unwrap())
                .unwrap();
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_audience(&[Issuer::AUDIENCE]);
        let read = decode::<Value>(&token, &public, &rules).unwrap().claims;
        assert_eq!(
            (&read["oms_partner"], &read["oms_locations"][0]),
            (&json!("acme"), &json!("us-west"))
        );
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(super::claims(&args(&dir, "service:order")).is_err());
    }
}
