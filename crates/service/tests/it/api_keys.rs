//! Keys of partners, in a file that changes while the server runs.

use std::path::PathBuf;

use oms_core::Clock;
use oms_proto::common::v1::ErrorReason;
use oms_service::{IssuedApiKey, NewApiKey, PeerError, Runtime, ServiceHandle, issue_api_key};
use oms_testkit::{MockClock, TestDb, wait_for};
use tempfile::TempDir;
use time::Duration;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::support::{call_with, database, http, start_at};

const PEPPER: &[u8] = b"0123456789abcdef0123456789abcdef";

struct World {
    clock: MockClock,
    handle: ServiceHandle,
    file: PathBuf,
    _folder: TempDir,
    _database: TestDb,
}

impl World {
    async fn new(entries: &[&str]) -> Self {
        Self::with("", entries).await
    }

    /// With more configuration.
    async fn with(more: &str, entries: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (file, pepper) = (
            folder.path().join("keys.toml"),
            folder.path().join("pepper"),
        );
        std::fs::write(&file, entries.join("\n")).unwrap();
        // With the line end that editors leave.
        std::fs::write(&pepper, [PEPPER, b"\n"].concat()).unwrap();
        let toml = format!(
            "insecure_dev = false\nserver.files_reload_ms = 20\n{more}\n[auth.api_keys]\nfile = '{}'\npepper_file = '{}'",
            file.display(),
            pepper.display()
        );
        let (clock, database) = (MockClock::new(), database().await);
        let handle = start_at(&database, &toml, Runtime::default(), clock.clone())
            .await
            .unwrap();
        Self {
            clock,
            handle,
            file,
            _folder: folder,
            _database: database,
        }
    }

    async fn call(&self, key: &str) -> Result<String, PeerError> {
        let channel = Endpoint::from_shared(self.handle.url())
            .unwrap()
            .connect_lazy();
        call_with(channel, key, "echo").await
    }
}

/// A key of acme that may place holds for thirty days.
fn issue(number: u8) -> IssuedApiKey {
    let new = NewApiKey {
        principal: "partner:acme".parse().unwrap(),
        roles: vec!["partner".to_owned()],
        scopes: vec!["holds.*".to_owned()],
        locations: vec!["us-west".to_owned()],
        channels: Vec::new(),
        expires_at: MockClock::new().now() + Duration::days(30),
    };
    issue_api_key(&new, PEPPER, &[number; 40]).unwrap()
}

#[tokio::test]
async fn a_key_names_its_partner_until_it_ends() {
    let (key, limited) = (issue(1), issue(2));
    let limited_entry = format!(
        "{}quota = {{ calls_per_second = 1, burst = 2 }}\n",
        limited.entry
    );
    let world = World::new(&[&key.entry, &limited_entry]).await;
    assert_eq!(world.call(&key.key).await.unwrap(), "partner:acme");

    let last = key.key.chars().last().unwrap();
    let wrong = format!(
        "{}{}",
        &key.key[..key.key.len() - 1],
        if last == '0' { '1' } else { '0' }
    );
    let (id, _) = limited.key.rsplit_once('_').unwrap();
    let (_, secret) = key.key.rsplit_once('_').unwrap();
    for wrong in [
        &wrong,
        &format!("{id}_{secret}"),
        "oms_live_",
        "oms_live_x_y",
        &key.key[..key.key.len() - 2],
    ] {
        let refused = world.call(wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{wrong}");
        assert!(!refused.to_string().contains(secret));
    }

    // However long the calls take: at most one a second after the first two.
    let mut refused = None;
    for _ in 0..200 {
        if let Err(error) = world.call(&limited.key).await {
            refused = Some(error);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.reason(), Some(ErrorReason::RateLimited));
    assert!(refused.retry_after().is_some() && refused.retryable());
    assert!(world.call(&key.key).await.is_ok());

    world
        .clock
        .advance(std::time::Duration::from_hours(30 * 24));
    assert_eq!(
        world.call(&key.key).await.unwrap_err().code(),
        Code::Unauthenticated
    );
}

#[tokio::test]
async fn keys_are_rotated_while_the_server_runs() {
    let (old, new) = (issue(1), issue(2));
    let world = World::new(&[&old.entry]).await;
    assert!(world.call(&old.key).await.is_ok() && world.call(&new.key).await.is_err());

    std::fs::write(&world.file, format!("{}\n{}", old.entry, new.entry)).unwrap();
    wait_for("the new key", async || {
        world.call(&new.key).await.map_err(|e| e.to_string())
    })
    .await;
    assert!(world.call(&old.key).await.is_ok());

    // A file that cannot be used changes nothing, and the next one counts again.
    std::fs::write(&world.file, "[[keys]]\nid = 7").unwrap();
    wait_for("the file to be read", async || {
        let metrics =
            crate::support::http(world.handle.admin_addr, "GET /metrics HTTP/1.1", "", b"").await;
        let is_read = metrics.contains("outcome=\"refused\"");
        is_read.then_some(()).ok_or(metrics)
    })
    .await;
    assert!(world.call(&old.key).await.is_ok());
    std::fs::write(&world.file, &new.entry).unwrap();
    wait_for("the end of the old key", async || {
        match world.call(&old.key).await {
            Ok(_) => Err("it is still good".to_owned()),
            Err(error) => {
                assert_eq!(error.code(), Code::Unauthenticated);
                Ok(())
            }
        }
    })
    .await;
    assert!(world.call(&new.key).await.is_ok());
}

#[test]
fn entries_that_cannot_be_used_are_not_made() {
    let good = NewApiKey {
        principal: "partner:acme".parse().unwrap(),
        roles: vec!["partner".to_owned()],
        scopes: Vec::new(),
        locations: Vec::new(),
        channels: Vec::new(),
        expires_at: MockClock::new().now(),
    };
    assert!(issue_api_key(&good, PEPPER, &[1; 40]).is_ok());
    let refused = |new: NewApiKey, pepper| issue_api_key(&new, pepper, &[1; 40]).is_err();
    assert!(refused(good.clone(), b"short"));
    let service = "service:order".parse().unwrap();
    assert!(refused(
        NewApiKey {
            principal: service,
            ..good.clone()
        },
        PEPPER
    ));
    assert!(refused(
        NewApiKey {
            roles: vec!["root".to_owned()],
            ..good.clone()
        },
        PEPPER
    ));
    assert!(refused(
        NewApiKey {
            scopes: vec!["x.read".to_owned()],
            ..good
        },
        PEPPER
    ));
}

/// The clock of failures is the machine's: a limit of one a second comes back meanwhile, so these try until it is used up.
#[tokio::test]
async fn an_address_that_guesses_is_not_heard_but_for_keys_that_it_has_shown() {
    let (key, new) = (issue(1), issue(2));
    let limit = "auth.failures = { calls_per_second = 1, burst = 5 }";
    let world = World::with(limit, &[&key.entry, &new.entry]).await;
    assert!(world.call(&key.key).await.is_ok());
    let mut refused = None;
    for _ in 0..10_000 {
        let error = world.call("oms_live_x_y").await.unwrap_err();
        if error.code() == Code::ResourceExhausted {
            refused = Some(error);
            break;
        }
        assert_eq!(error.code(), Code::Unauthenticated);
    }
    let refused = refused.unwrap();
    assert_eq!(refused.reason(), Some(ErrorReason::RateLimited));
    assert!(refused.retry_after().is_some() && refused.retryable());
    assert!(world.call(&key.key).await.is_ok());
    // A good key of which nothing is known waits with the others, as long as the retry says.
    wait_for("the new key to be heard", || async {
        world
            .call(&new.key)
            .await
            .map_err(|error| error.to_string())
    })
    .await;
    let metrics = http(world.handle.admin_addr, "GET /metrics HTTP/1.1", "", b"").await;
    for outcome in ["refused", "unheard"] {
        let line = format!("oms_auth_failures{{door=\"call\",outcome=\"{outcome}\"}}");
        assert!(metrics.contains(&line), "{metrics}");
    }
}
