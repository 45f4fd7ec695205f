//! Every method of the contract with every role and every service, through the stack that serves them.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{Request, Response};
use oms_core::{Clock, SystemIds};
use oms_proto::METHODS;
use oms_proto::common::v1::ErrorReason;
use oms_testkit::MockClock;
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service;

use super::method::{Methods, label};
use super::plumbing::Plumbing;
use super::stack::{Shared, Stack};
use crate::auth::Guard;
use crate::auth::api_keys::{NewApiKey, issue_api_key};
use crate::auth::roles::Roles;
use crate::config::{Common, ServerConfig, from_toml};
use crate::peer_error::PeerError;
use crate::tls::UriNames;

const PEPPER: &str = "0123456789abcdef0123456789abcdef";
const SERVICES: [&str; 5] = ["order", "inventory", "fulfillment", "shipping", "returns"];

/// The stack of a service around handlers that let everything pass; all methods of the contract are there.
fn stack(service: &'static str, more: &str) -> Stack {
    let text = format!(
        "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n[database]\nurl = \"postgres://h/d\"\n{more}"
    );
    let common: Common = from_toml(&text).unwrap();
    let grpc: BTreeSet<_> = METHODS
        .iter()
        .filter_map(|(path, _)| path[1..].split('/').next())
        .collect();
    let grpc: Vec<&str> = grpc.into_iter().collect();
    let shared = Shared {
        service,
        methods: Methods::of_services(service, &grpc).unwrap(),
        guard: Guard::new(&common, service, Arc::new(MockClock::new())).unwrap(),
        limits: ServerConfig::default(),
        permits: Semaphore::new(8),
        webhook_permits: Semaphore::new(1),
        plumbing: Plumbing::new(1, false),
        ids: Arc::new(SystemIds),
        draining: CancellationToken::new(),
    };
    let passed = async || {
        Response::builder()
            .header("passed", "yes")
            .body(axum::body::Body::empty())
            .unwrap()
    };
    Stack::new(shared, Routes::from(axum::Router::new().fallback(passed)))
}

/// The failure of a call, or nothing when it came through to the handler.
async fn call(
    stack: &mut Stack,
    path: &str,
    prepare: impl FnOnce(&mut Request<Body>),
) -> Result<(), PeerError> {
    let mut request = Request::post(path).body(Body::empty()).unwrap();
    prepare(&mut request);
    let Ok(response) = stack.call(request).await;
    if response.headers().contains_key("passed") {
        return Ok(());
    }
    Err(PeerError::from(
        Status::from_header_map(response.headers()).unwrap(),
    ))
}

fn assert_missing(refused: &PeerError, what: &str) {
    assert_eq!(refused.code(), Code::PermissionDenied, "{what}: {refused}");
    assert_eq!(refused.reason(), Some(ErrorReason::ScopeMissing), "{what}");
}

/// A key for everybody who has one role, and for somebody who has none; role and key, and the file of keys.
fn keys(roles: &Roles) -> (Vec<(String, String)>, String) {
    let (mut keys, mut file) = (Vec::new(), String::new());
    let named = roles.names().map(str::to_owned);
    for (n, role) in (1..).zip(named.chain(["nobody".to_owned()])) {
        let of_role = roles.scopes(&role).map(|_| role.clone());
        let new = NewApiKey {
            principal: format!("user:{role}").parse().unwrap(),
            roles: of_role.into_iter().collect(),
            scopes: Vec::new(),
            locations: Vec::new(),
            channels: Vec::new(),
            expires_at: MockClock::new().now() + time::Duration::days(1),
        };
        let issued = issue_api_key(&new, PEPPER.as_bytes(), &[n; 40]).unwrap();
        file += &issued.entry;
        keys.push((role, issued.key));
    }
    (keys, file)
}

#[tokio::test]
async fn a_role_may_call_a_method_if_and_only_if_it_has_its_scope() {
    let roles = Roles::new(&crate::auth::roles::RolePatterns::new()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, pepper) = (
        folder.path().join("keys.toml"),
        folder.path().join("pepper"),
    );
    let (keys, entries) = keys(&roles);
    std::fs::write(&file, entries).unwrap();
    std::fs::write(&pepper, PEPPER).unwrap();
    let toml = format!(
        "[auth.api_keys]\nfile = {file:?}\npepper_file = {pepper:?}\n[auth.quota]\ncalls_per_second = 0\nburst = 0\n"
    );
    let mut stack = stack("order", &toml);

    let (mut passed, mut refused) = (0, 0);
    for (role, key) in &keys {
        let bearer: http::HeaderValue = format!("Bearer {key}").parse().unwrap();
        for (path, scope) in METHODS {
            let answer = call(&mut stack, path, |request| {
                request
                    .headers_mut()
                    .insert("authorization", bearer.clone());
            });
            let may = roles
                .scopes(role)
                .is_some_and(|scopes| scopes.contains(*scope));
            match answer.await {
                Ok(()) => {
                    assert!(may, "{role} may not call {path}");
                    passed += 1;
                }
                Err(error) => {
                    assert!(!may, "{role} may call {path}: {error}");
                    assert_missing(&error, &format!("{role} {path}"));
                    assert_eq!(error.metadata("scope"), Some(*scope));
                    refused += 1;
                }
            }
        }
    }
    assert!(passed > METHODS.len() && refused > METHODS.len());

    // Nobody without a proof, and nobody anything that is not there.
    for (path, _) in METHODS {
        let error = call(&mut stack, path, |_| {}).await.unwrap_err();
        assert_eq!(error.code(), Code::Unauthenticated, "{path}");
    }
}

/// A certificate of a service of ours, as the acceptor would have taken it.
fn certificate(service: &str) -> UriNames {
    let mut params = rcgen::CertificateParams::default();
    let uri = format!("spiffe://oms/{service}");
    params
        .subject_alt_names
        .push(rcgen::SanType::URI(uri.try_into().unwrap()));
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    UriNames::of(&CertificateDer::from(certificate.der().to_vec())).unwrap()
}

#[tokio::test]
async fn a_service_may_call_what_is_on_the_list_and_nothing_else() {
    // Written by hand from ARCHITECTURE.md, as a second pair of eyes.
    let edges = [
        ("order", "inventory"),
        ("order", "fulfillment"),
        ("fulfillment", "inventory"),
        ("fulfillment", "order"),
        ("shipping", "order"),
        ("shipping", "inventory"),
        ("returns", "order"),
        ("returns", "shipping"),
    ];
    let feeds = [
        ("order", "inventory"),
        ("order", "fulfillment"),
        ("order", "shipping"),
        ("order", "returns"),
        ("inventory", "shipping"),
        ("inventory", "returns"),
        ("fulfillment", "shipping"),
        ("shipping", "fulfillment"),
        ("returns", "order"),
        ("returns", "shipping"),
    ];
    let (mut called, mut followed) = (BTreeSet::new(), BTreeSet::new());
    for callee in SERVICES {
        let mut stack = stack(callee, "");
        for caller in SERVICES.into_iter().chain(["oms"]) {
            let names = certificate(caller);
            for (path, _) in METHODS {
                let answer = call(&mut stack, path, |request| {
                    request.extensions_mut().insert(names.clone());
                });
                match answer.await {
                    Ok(()) if label(path).starts_with("EventFeedService/") => {
                        followed.insert((caller, callee))
                    }
                    Ok(()) => called.insert((caller, callee)),
                    Err(error) => {
                        assert_missing(&error, &format!("{caller} {callee} {path}"));
                        continue;
                    }
                };
            }
        }
    }
    assert_eq!(called, BTreeSet::from(edges));
    assert_eq!(followed, BTreeSet::from(feeds));
}
