//! An issuer of tokens: keys, a server that publishes them, and tokens of every kind of wrongness.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A key that signs.
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) encoding: EncodingKey,
    /// What is published.
    pub(crate) jwk: Value,
    /// The public key as bytes, for those who mistake it for a secret.
    pub(crate) public: Vec<u8>,
}

impl SigningKey {
    pub(crate) fn new(kid: &str, algorithm: Algorithm) -> Self {
        let pair = match algorithm {
            Algorithm::ES256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Algorithm::EdDSA => KeyPair::generate_for(&PKCS_ED25519),
            _ => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        };
        let pair = pair.unwrap();
        let der = pair.serialize_der();
        let encoding = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(&der),
            Algorithm::EdDSA => EncodingKey::from_ed_der(&der),
            // The key itself without the envelope of PKCS 8, which has this length for 2 048 bits.
            _ => EncodingKey::from_rsa_der(&der[26..]),
        };
        let mut jwk = if algorithm == Algorithm::EdDSA {
            let x = BASE64_URL_SAFE_NO_PAD.encode(pair.der_bytes());
            json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": x})
        } else {
            serde_json::to_value(Jwk::from_encoding_key(&encoding, algorithm).unwrap()).unwrap()
        };
        jwk["kid"] = json!(kid);
        Self {
            kid: kid.to_owned(),
            algorithm,
            encoding,
            jwk,
            public: pair.der_bytes().to_vec(),
        }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.encoding).unwrap()
    }
}

/// Header and claims with whatever signature.
pub(crate) fn forge(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[derive(Default)]
struct Published {
    keys: Mutex<Vec<Value>>,
    is_down: AtomicBool,
    hangs: watch::Sender<bool>,
    fetches: AtomicUsize,
}

/// A server that publishes keys, and counts who asks.
pub(crate) struct Issuer {
    addr: SocketAddr,
    published: Arc<Published>,
}

impl Issuer {
    pub(crate) async fn start(keys: &[&SigningKey]) -> Self {
        let published = Arc::new(Published::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/keys", get(answer))
            .with_state(Arc::clone(&published));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let issuer = Self { addr, published };
        issuer.publish(keys);
        issuer
    }

    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        let keys = keys.iter().map(|key| key.jwk.clone()).collect();
        *self.published.keys.lock().unwrap() = keys;
    }

    pub(crate) fn is_down(&self, is_down: bool) {
        self.published.is_down.store(is_down, Ordering::SeqCst);
    }

    /// While it hangs, nobody gets an answer.
    pub(crate) fn hangs(&self, hangs: bool) {
        self.published.hangs.send_replace(hangs);
    }

    pub(crate) fn fetches(&self) -> usize {
        self.published.fetches.load(Ordering::SeqCst)
    }

    /// Configuration of a server that takes its tokens and nothing else.
    pub(crate) fn toml(&self) -> String {
        format!(
            "insecure_dev = false\n[auth.jwt]\nissuer = \"https://id.example.com\"\naudience = \"oms\"\n\
             jwks_url = \"http://{}/keys\"\n",
            self.addr
        )
    }
}

async fn answer(State(published): State<Arc<Published>>) -> (StatusCode, String) {
    published.fetches.fetch_add(1, Ordering::SeqCst);
    let mut hangs = published.hangs.subscribe();
    assert!(hangs.wait_for(|hangs| !hangs).await.is_ok());
    if published.is_down.load(Ordering::SeqCst) {
        return (StatusCode::SERVICE_UNAVAILABLE, String::new());
    }
    let keys = published.keys.lock().unwrap().clone();
    (StatusCode::OK, json!({ "keys": keys }).to_string())
}
