//! Tokens of a real issuer: what is taken, what is refused and why, and what happens when keys change or the issuer
//! is down.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use oms_core::Clock;
use oms_proto::common::v1::ErrorReason;
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_service::{PeerError, Runtime, ServiceHandle};
use oms_testkit::{MockClock, TestDb, wait_for};
use serde_json::{Value, json};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

use crate::feed::{request, until_ended};
use crate::issuer::{Issuer, SigningKey, forge};
use crate::support::{call, call_with, database, start_at};

struct World {
    clock: MockClock,
    handle: ServiceHandle,
    issuer: Issuer,
    _database: TestDb,
}

impl World {
    async fn new(keys: &[&SigningKey]) -> Self {
        Self::with(keys, "").await
    }

    /// With more of `[auth.jwt]`, and whole sections behind it.
    async fn with(keys: &[&SigningKey], more: &str) -> Self {
        let (clock, database, issuer) = (
            MockClock::new(),
            database().await,
            Issuer::start(keys).await,
        );
        // Whether guesses are counted is another test's concern: these make many.
        let toml = issuer.toml() + more;
        let toml = toml + "\n[auth.failures]\ncalls_per_second = 100000\nburst = 100000\n";
        let handle = start_at(&database, &toml, Runtime::default(), clock.clone())
            .await
            .unwrap();
        Self {
            clock,
            handle,
            issuer,
            _database: database,
        }
    }

    fn channel(&self) -> Channel {
        Endpoint::from_shared(self.handle.url())
            .unwrap()
            .connect_lazy()
    }

    async fn call(&self, token: &str) -> Result<String, PeerError> {
        call_with(self.channel(), token, "echo").await
    }

    /// Claims that are right, now and for the next hours.
    fn claims(&self) -> Value {
        let now = self.clock.now().unix_timestamp();
        json!({
            "iss": "https://id.example.com", "aud": ["oms", "other"], "sub": "alice", "nbf": now, "exp": now + 36_000,
            "roles": ["csr", "somebody-elses"], "scope": "openid profile",
        })
    }

    /// [`World::claims`] with one changed; null takes it away.
    fn claims_but(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        claims
    }
}

#[tokio::test]
async fn tokens_of_the_issuer_are_taken() {
    let keys = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
        .map(|algorithm| SigningKey::new(&format!("{algorithm:?}"), algorithm));
    let world = World::new(&keys.each_ref()).await;
    for key in &keys {
        let said = world.call(&key.sign(&world.claims())).await;
        assert_eq!(said.unwrap(), "user:alice", "{:?}", key.algorithm);
    }
    let now = world.clock.now().unix_timestamp();
    for (what, claims) in [
        ("one audience", world.claims_but("aud", json!("oms"))),
        (
            "a scope instead of a role",
            world.claims_but("scope", json!("holds.write")),
        ),
        (
            "roles as one text",
            world.claims_but("roles", json!("viewer csr")),
        ),
        (
            "expired within the leeway",
            world.claims_but("exp", json!(now - 20)),
        ),
        (
            "not yet valid within the leeway",
            world.claims_but("nbf", json!(now + 20)),
        ),
    ] {
        assert!(world.call(&keys[1].sign(&claims)).await.is_ok(), "{what}");
    }
    let claims = world.claims_but("oms_partner", json!("acme"));
    assert_eq!(
        world.call(&keys[1].sign(&claims)).await.unwrap(),
        "partner:acme"
    );
    assert_eq!(world.issuer.fetches(), 1);
}

/// Tokens that the issuer did not sign like this, by what is wrong with them.
fn forged(world: &World, key: &SigningKey, rsa: &SigningKey) -> Vec<(&'static str, String)> {
    let with_header = |header: Value| forge(&header, &world.claims(), "AAAA");
    let mut hmac = Header::new(Algorithm::HS256);
    hmac.kid = Some("rsa".to_owned());
    let confused = encode(
        &hmac,
        &world.claims(),
        &EncodingKey::from_secret(&rsa.public),
    )
    .unwrap();
    let mut foreign = SigningKey::new("good", Algorithm::ES256);
    let stolen_name = foreign.sign(&world.claims());
    foreign.kid = "unknown".to_owned();
    let unnamed = Header::new(Algorithm::ES256);
    let unnamed = encode(&unnamed, &world.claims(), &key.encoding).unwrap();
    let good = key.sign(&world.claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let other = key.sign(&world.claims_but("sub", json!("root")));
    let payload = other.split('.').nth(1).unwrap();
    let crit = json!({"alg": "ES256", "kid": "good", "crit": ["b64"], "b64": false});
    vec![
        ("nothing", String::new()),
        ("no token", "x".to_owned()),
        ("three empty parts", "..".to_owned()),
        ("HS256 with the public key", confused),
        (
            "alg none",
            with_header(json!({"alg": "none", "kid": "good"})),
        ),
        (
            "alg None",
            with_header(json!({"alg": "None", "kid": "good"})),
        ),
        ("no alg", with_header(json!({"kid": "good"}))),
        (
            "an algorithm that is not pinned",
            with_header(json!({"alg": "RS512", "kid": "rsa"})),
        ),
        (
            "the algorithm of another key",
            with_header(json!({"alg": "ES256", "kid": "rsa"})),
        ),
        ("crit", with_header(crit)),
        ("no signature", format!("{head}.")),
        (
            "claims of another token",
            format!("{header}.{payload}.{signature}"),
        ),
        ("another key under a known kid", stolen_name),
        ("unknown kid", foreign.sign(&world.claims())),
        ("no kid", unnamed),
    ]
}

/// Claim, value (null for none), and what is wrong with it.
fn wrong_claims(now: i64) -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("iss", json!("https://evil.example.com"), "another issuer"),
        ("iss", Value::Null, "no issuer"),
        ("iss", json!(7), "issuer of a wrong type"),
        ("aud", json!("shop"), "another audience"),
        ("aud", Value::Null, "no audience"),
        ("exp", json!(now - 31), "expired"),
        ("exp", Value::Null, "no exp"),
        ("exp", json!("99999999999"), "exp as text"),
        ("exp", json!([now + 60]), "exp as a list"),
        ("exp", json!(1e300), "exp as a huge number"),
        ("exp", json!(-1), "exp below zero"),
        ("exp", json!(true), "exp true"),
        ("nbf", json!(now + 31), "not valid yet"),
        ("nbf", Value::Null, "no nbf"),
        ("nbf", json!(now.to_string()), "nbf as text"),
        ("nbf", json!(0.5), "nbf as a fraction"),
        ("sub", Value::Null, "no subject"),
        ("sub", json!("a b"), "a subject that is no name"),
        ("roles", json!({"csr": true}), "roles of a wrong type"),
        ("oms_locations", json!([1]), "locations of a wrong type"),
    ]
}

#[tokio::test]
async fn whatever_else_is_refused() {
    let key = SigningKey::new("good", Algorithm::ES256);
    let rsa = SigningKey::new("rsa", Algorithm::RS256);
    let world = World::new(&[&key, &rsa]).await;
    let mut cases = forged(&world, &key, &rsa);
    for (claim, value, what) in wrong_claims(world.clock.now().unix_timestamp()) {
        cases.push((what, key.sign(&world.claims_but(claim, value))));
    }
    for (what, token) in cases {
        let refused = world.call(&token).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{what}: {refused}");
        assert_eq!(
            refused.reason(),
            Some(ErrorReason::Unauthenticated),
            "{what}"
        );
    }
    // The token is right, but not enough.
    let reader = key.sign(&world.claims_but("roles", json!(["read_only"])));
    assert_eq!(
        world.call(&reader).await.unwrap_err().reason(),
        Some(ErrorReason::ScopeMissing)
    );
    // No proof at all, and one of a kind that this server does not take.
    let refused = call(world.channel(), "echo").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let api_key = format!("oms_live_abc_{}", "0".repeat(64));
    assert_eq!(
        world.call(&api_key).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert!(world.call(&key.sign(&world.claims())).await.is_ok());
}

#[tokio::test]
async fn the_issuer_changes_its_keys() {
    let old = SigningKey::new("old", Algorithm::ES256);
    let new = SigningKey::new("new", Algorithm::ES256);
    let world = World::new(&[&old]).await;
    let (by_old, by_new) = (old.sign(&world.claims()), new.sign(&world.claims()));
    assert!(world.call(&by_old).await.is_ok());

    // An unknown key makes the server ask, though not at once again: a flood of inventions reaches nobody.
    world.issuer.publish(&[&old, &new]);
    world.clock.advance(Duration::from_secs(11));
    assert!(world.call(&by_new).await.is_ok());
    assert_eq!(world.issuer.fetches(), 2);
    let flood = (0..200).map(|n| {
        let mut invented = SigningKey::new("x", Algorithm::ES256);
        invented.kid = format!("invented-{n}");
        let token = invented.sign(&world.claims());
        let channel = world.channel();
        async move { call_with(channel, &token, "echo").await }
    });
    for refused in futures::future::join_all(flood).await {
        assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    }
    assert!(world.call(&by_old).await.is_ok() && world.call(&by_new).await.is_ok());
    assert_eq!(world.issuer.fetches(), 2);

    // The old key is withdrawn, which is known a little after the keys are not fresh any more.
    world.issuer.publish(&[&new]);
    world.clock.advance(Duration::from_secs(301));
    assert!(world.call(&by_new).await.is_ok());
    wait_for("the old key to be withdrawn", async || {
        match world.call(&by_old).await {
            Ok(_) => Err("it is still good".to_owned()),
            Err(error) => {
                assert_eq!(error.code(), Code::Unauthenticated);
                Ok(())
            }
        }
    })
    .await;
    assert!(world.call(&by_new).await.is_ok());
}

#[tokio::test]
async fn the_issuer_is_down() {
    let key = SigningKey::new("key", Algorithm::ES256);
    let world = World::new(&[&key]).await;
    let token = key.sign(&world.claims());
    world.issuer.is_down(true);
    // Nothing was ever known: that is not the caller's fault.
    let failed = world.call(&token).await.unwrap_err();
    assert_eq!(
        (failed.code(), failed.retryable()),
        (Code::Unavailable, true)
    );

    world.issuer.is_down(false);
    world.clock.advance(Duration::from_secs(11));
    assert!(world.call(&token).await.is_ok());

    // Known keys are good for an hour without the issuer.
    world.issuer.is_down(true);
    world.clock.advance(Duration::from_mins(59));
    assert!(world.call(&token).await.is_ok());
    world.clock.advance(Duration::from_mins(2));
    assert_eq!(
        world.call(&token).await.unwrap_err().code(),
        Code::Unavailable
    );

    world.issuer.is_down(false);
    world.clock.advance(Duration::from_secs(11));
    assert!(world.call(&token).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_hangs_keeps_nobody_out_whose_key_is_known() {
    /// Those who wait for the issuer: one that asked, and so many beside it.
    const WAITING: usize = 1 + 32;
    const REFUSED: usize = 7;

    let key = SigningKey::new("key", Algorithm::ES256);
    let world = World::with(&[&key], "[server]\ncalls_max = 1\n").await;
    let token = key.sign(&world.claims());
    assert!(world.call(&token).await.is_ok());
    world.issuer.hangs(true);
    world.clock.advance(Duration::from_secs(11));

    let mut invented = SigningKey::new("x", Algorithm::ES256);
    let channel = world.channel();
    let mut flood = FuturesUnordered::new();
    for number in 0..WAITING + REFUSED {
        invented.kid = format!("invented-{number}");
        let (channel, token) = (channel.clone(), invented.sign(&world.claims()));
        flood.push(async move { call_with(channel, &token, "echo").await });
    }
    for _ in 0..REFUSED {
        let refused = flood.next().await.unwrap().unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    }
    // There is one place for calls, and none of those who wait has it.
    assert!(world.call(&token).await.is_ok());
    world.issuer.hangs(false);
    while let Some(refused) = flood.next().await {
        assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    }
    assert_eq!(world.issuer.fetches(), 2);
}

#[tokio::test]
async fn a_stream_does_not_outlive_the_token_that_opened_it() {
    let key = SigningKey::new("key", Algorithm::ES256);
    let world = World::with(&[&key], "leeway_secs = 0\n").await;
    let mut claims = world.claims_but("roles", json!(["connector"]));
    claims["exp"] = json!(world.clock.now().unix_timestamp() + 1);
    let token = key.sign(&claims);
    let subscribe = async || {
        let mut request = Request::new(request(0));
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let mut client = EventFeedServiceClient::new(world.channel());
        client.subscribe(request).await
    };
    let mut batches = subscribe().await.unwrap().into_inner();
    let (_, ended) = until_ended(&mut batches, 0).await;
    assert_eq!(ended.code(), Code::Unavailable);
    assert_eq!(ended.metadata("ended"), Some("age"));
    world.clock.advance(Duration::from_secs(1));
    let refused = subscribe().await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}
